package uniqueness

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	clientfeatures "k8s.io/client-go/features"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/schedplugin/pluginargs"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Uniqueness is the plugin; see the package documentation.
type Uniqueness struct {
	snapshot fwk.SharedLister
	twins    *twins
}

var (
	_ fwk.PreFilterPlugin   = (*Uniqueness)(nil)
	_ fwk.FilterPlugin      = (*Uniqueness)(nil)
	_ fwk.ReservePlugin     = (*Uniqueness)(nil)
	_ fwk.EnqueueExtensions = (*Uniqueness)(nil)
)

// Name of the plugin in the registry and in configurations.
const Name = "EverynodeUniqueness"

// Messages for pods that are not served; users see them in a condition and an event.
const (
	ReasonNotOwned  = "everynode-scheduler only schedules pods of DaemonSets: remove spec.schedulerName so that the default scheduler schedules this pod"
	ReasonNotPinned = "everynode-scheduler only schedules pods that are pinned to one node: let admission pin the pod (set spec.nodeName and the scheduling gate everynode.dev/placement) or require matchFields metadata.name In [one node] in every node affinity term"
)

// ReasonNoNode is the reason when the pod's node does not exist.
const ReasonNoNode = "does not exist; the pod is placed when it appears"

const stateKey = "PreFilter" + Name

// place is PreFilter's state for Filter: the pod's cell, and the other pods that wait for it.
type place struct {
	daemon.CellKey
	Waiting []*corev1.Pod
}

// Clone returns the place itself: preemption's simulation does not change it.
func (p place) Clone() fwk.StateData { return p }

// Name of the plugin.
func (*Uniqueness) Name() string { return Name }

// PreFilter refuses pods that the plugin does not serve, and narrows the search to the pod's node.
func (u *Uniqueness) PreFilter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	key, refusal := served(pod)
	if refusal != "" {
		return nil, refuse(state, refusal)
	}
	// The snapshot's only error is that it does not contain the node.
	if _, err := u.snapshot.NodeInfos().Get(key.Node); err != nil {
		return nil, refuse(state, ReasonNoNode)
	}
	waiting, err := u.twins.waiting(pod, key)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	state.Write(stateKey, place{key, waiting})
	return &fwk.PreFilterResult{NodeNames: sets.New(key.Node)}, nil
}

// refuse ends the cycle of a pod that no eviction can help. PostFilter plugins are not called: DynamicResources
// returns an error if its own PreFilter was not reached.
func refuse(state fwk.CycleState, reason string) *fwk.Status {
	if state, ok := state.(interface{ SetSkipAllPostFilterPlugins(bool) }); ok {
		state.SetSkipAllPostFilterPlugins(true)
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

// PreFilterExtensions are not needed: Filter reads the pods of the NodeInfo that it is given.
func (*Uniqueness) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// served returns the cell of a pod that the plugin serves, or why it does not serve the pod.
func served(pod *corev1.Pod) (key daemon.CellKey, refusal string) {
	if _, owned := podfacts.Owner(pod); !owned {
		return daemon.CellKey{}, ReasonNotOwned
	}
	key, pinned := podfacts.KeyOf(pod)
	if !pinned {
		return daemon.CellKey{}, ReasonNotPinned
	}
	return key, ""
}

// Filter refuses a node that holds a pod of the same daemon. It permits preemption (Unschedulable) only when
// every twin has lower priority. A terminating twin holds its place too. If its priority is lower it may be
// this pod's own victim, and only Unschedulable lets the pod keep its nomination. Only a pod that was created
// to surge may join a twin, of another revision. A twin that waits for the same cell blocks the pod whatever
// their priorities, and the pod blocks the twin: another scheduler may be about to bind it.
func (*Uniqueness) Filter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	data, err := state.Read(stateKey)
	if err != nil {
		return fwk.AsStatus(fmt.Errorf("reading %s: %w", stateKey, err))
	}
	wanted, ok := data.(place)
	if !ok {
		return fwk.AsStatus(fmt.Errorf("%s holds a %T", stateKey, data))
	}
	twins := union(twinsOf(pod, wanted.CellKey, node), wanted.Waiting)
	if mayStandBeside(pod, twins) {
		return nil
	}
	if len(wanted.Waiting) > 0 {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, pendingToo(wanted.Waiting[0]))
	}
	var preemptable *fwk.Status
	priority := schedcorev1.PodPriority(pod)
	for _, other := range twins {
		if schedcorev1.PodPriority(other) >= priority {
			return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, inTheWay(other, "already has"))
		}
		if preemptable == nil {
			preemptable = fwk.NewStatus(fwk.Unschedulable, inTheWay(other, "has lower-priority"))
		}
	}
	return preemptable
}

// Reserve refuses a pod that has a twin which the snapshot did not contain, because the informer was ahead of
// it.
func (u *Uniqueness) Reserve(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ string) *fwk.Status {
	key, refusal := served(pod)
	if refusal != "" {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, refusal)
	}
	twins, err := u.twins.all(pod, key)
	if err != nil {
		return fwk.AsStatus(err)
	}
	if mayStandBeside(pod, twins) {
		return nil
	}
	if twin := twins[0]; twin.Spec.NodeName == "" {
		return fwk.NewStatus(fwk.Unschedulable, pendingToo(twin))
	}
	return fwk.NewStatus(fwk.Unschedulable, inTheWay(twins[0], "already has"))
}

// Unreserve has nothing to undo.
func (*Uniqueness) Unreserve(context.Context, fwk.CycleState, *corev1.Pod, string) {}

// mayStandBeside reports whether a pod may be bound although its cell has other pods, bound or waiting.
func mayStandBeside(pod *corev1.Pod, twins []*corev1.Pod) bool {
	return len(twins) == 0 || len(twins) == 1 && daemon.MayJoin(pod, twins[0])
}

// twinsOf returns the other pods of the wanted cell on a node.
func twinsOf(pod *corev1.Pod, wanted daemon.CellKey, node fwk.NodeInfo) []*corev1.Pod {
	var twins []*corev1.Pod
	for _, info := range node.GetPods() {
		if other := info.GetPod(); other.UID != pod.UID && holds(other, wanted, node.Node().Name) {
			twins = append(twins, other)
		}
	}
	return twins
}

// inTheWay describes how a twin blocks a pod. Package pending adds the node's name.
func inTheWay(twin *corev1.Pod, has string) string {
	if twin.DeletionTimestamp != nil {
		return fmt.Sprintf("pod %s of the same DaemonSet is terminating; waiting until it is gone", twin.Name)
	}
	return fmt.Sprintf("%s pod %s of the same DaemonSet", has, twin.Name)
}

// pendingToo describes a twin that is pending, so that both block each other.
func pendingToo(twin *corev1.Pod) string {
	return fmt.Sprintf("pod %s of the same DaemonSet is pending for this node too; waiting until one of them is deleted", twin.Name)
}

// holds reports whether a pod that the NodeInfo counts on a node belongs to the wanted cell. Its target is that
// node whatever its spec contains, because nominated pods are counted there too.
func holds(pod *corev1.Pod, wanted daemon.CellKey, node string) bool {
	if node != wanted.Node || pod.Namespace != wanted.Namespace {
		return false
	}
	owner, owned := podfacts.Owner(pod)
	return owned && owner == wanted.Owner
}

// EventsToRegister returns the events that may admit a pod that this plugin refused: a twin that leaves its
// cell, by deletion or release, the node's creation, and the pod's own adoption. A twin that appears may be
// preempted, if Reserve saw it first. Pending twins cause no events (see waker).
func (u *Uniqueness) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}, QueueingHintFn: u.afterNodeAppeared},
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Add}, QueueingHintFn: u.afterPodPlaced},
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}, QueueingHintFn: u.afterPodGone},
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Update}, QueueingHintFn: u.afterPodReleased},
		{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.Update}, QueueingHintFn: u.afterItself},
	}, nil
}

// afterNodeAppeared wakes a pod whose node did not exist.
func (*Uniqueness) afterNodeAppeared(_ klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
	_, node, err := util.As[*corev1.Node](nil, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	target, pinned := podfacts.Target(pod)
	return wakes(pinned && target == node.Name), nil
}

// afterPodPlaced wakes a pod when one of lower priority occupies its cell.
func (*Uniqueness) afterPodPlaced(_ klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
	_, placed, err := util.As[*corev1.Pod](nil, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	return wakes(schedcorev1.PodPriority(placed) < schedcorev1.PodPriority(pod) && takes(pod, placed)), nil
}

// afterPodGone wakes a pod when another one of its cell is gone.
func (*Uniqueness) afterPodGone(_ klog.Logger, pod *corev1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	gone, _, err := util.As[*corev1.Pod](oldObj, nil)
	if err != nil {
		return fwk.Queue, err
	}
	return wakes(takes(pod, gone)), nil
}

// afterPodReleased wakes a pod when another one of its cell changes its owner.
func (*Uniqueness) afterPodReleased(_ klog.Logger, pod *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, after, err := util.As[*corev1.Pod](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	return wakes(takes(pod, before) && !takes(pod, after)), nil
}

// afterItself wakes a pod that was not served before and is now.
func (*Uniqueness) afterItself(_ klog.Logger, _ *corev1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	before, after, err := util.As[*corev1.Pod](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	_, refusedBefore := served(before)
	_, refusedNow := served(after)
	return wakes(refusedBefore != "" && refusedNow == ""), nil
}

// takes reports whether another pod occupies the cell that a pod wants.
func takes(pod, other *corev1.Pod) bool {
	wanted, waits := podfacts.KeyOf(pod)
	has, ok := podfacts.KeyOf(other)
	return waits && ok && has == wanted
}

func wakes(yes bool) fwk.QueueingHint {
	if yes {
		return fwk.Queue
	}
	return fwk.QueueSkip
}

// New creates the plugin for a profile: one that only serves daemons' pods, or one that other pods use as well
// (Args.OtherPods).
func New(ctx context.Context, object runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args := Args{OtherPods: Refuse}
	if err := pluginargs.Decode(Name, object, &args); err != nil {
		return nil, err
	}
	if !clientfeatures.FeatureGates().Enabled(clientfeatures.AtomicFIFO) {
		return nil, fmt.Errorf("plugin %s: enable the feature gate %s", Name, clientfeatures.AtomicFIFO)
	}
	pods := handle.SharedInformerFactory().Core().V1().Pods().Informer()
	unique := &Uniqueness{snapshot: handle.SnapshotSharedLister(), twins: &twins{pods.GetIndexer()}}
	added, err := addIndexes(pods)
	if err != nil {
		return nil, err
	}
	if added {
		if _, err := pods.AddEventHandler(&waker{unique.twins, handle.Activate, klog.FromContext(ctx)}); err != nil {
			return nil, fmt.Errorf("watching pods that wait for each other: %w", err)
		}
	}
	switch args.OtherPods {
	case Refuse:
		return unique, nil
	case Ignore:
		return &shared{unique}, nil
	}
	return nil, fmt.Errorf("plugin %s: otherPods: %q is neither %s nor %s: correct its args under pluginConfig", Name, args.OtherPods, Refuse, Ignore)
}
