package preemption

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	corelisters "k8s.io/client-go/listers/core/v1"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/util"
	"k8s.io/utils/clock"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/schedplugin/pluginargs"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Preemption is the plugin; see the package's doc.
type Preemption struct {
	upstream *defaultpreemption.DefaultPreemption
	handle   fwk.Handle
	pods     corelisters.PodLister
	clock    clock.WithDelayedExecution
	refills  *refills
}

var (
	_ fwk.PreEnqueuePlugin  = (*Preemption)(nil)
	_ fwk.PostFilterPlugin  = (*Preemption)(nil)
	_ fwk.PostBindPlugin    = (*Preemption)(nil)
	_ fwk.EnqueueExtensions = (*Preemption)(nil)
)

// Name of the plugin in the registry and in configurations.
const Name = "EverynodePreemption"

// What the status of a pod says of preemption; the cause why it waits stands before it.
const (
	MessageNever       = "preemptionPolicy Never: nobody is evicted for it"
	MessageNobody      = "no pod of lower priority is there to make room"
	MessageTerminating = "waiting for evicted pods to terminate"
	MessageEvicting    = "pods of lower priority are being evicted for it"
)

// Name of the plugin.
func (*Preemption) Name() string { return Name }

// PreEnqueue keeps a pod from the queue while pods are being evicted for it.
func (p *Preemption) PreEnqueue(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	return p.upstream.PreEnqueue(ctx, pod)
}

// EventsToRegister has a pod that PreEnqueue kept from the queue woken when one of its node's is
// gone. Upstream leaves that to the plugin that refused the pod, which may know of one victim alone,
// as the plugin of uniqueness does of a twin: when that one went first, while others were still to
// be evicted, nothing woke the pod when they were.
func (p *Preemption) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}, QueueingHintFn: p.afterPodGone},
	}, nil
}

func (*Preemption) afterPodGone(_ klog.Logger, pod *corev1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	gone, _, err := util.As[*corev1.Pod](oldObj, nil)
	if err != nil {
		return fwk.Queue, err
	}
	if key, pinned := podfacts.KeyOf(pod); pinned && key.Node == gone.Spec.NodeName {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// PostFilter makes room for a pod on its node, and says what came of it. A pod that has no node of
// its own, in a profile that serves such pods, is upstream's alone.
func (p *Preemption) PostFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	key, pinned := podfacts.KeyOf(pod)
	if !pinned {
		return p.upstream.PostFilter(ctx, state, pod, statuses)
	}
	there, lower := p.podsOn(key.Node, schedcorev1.PodPriority(pod))
	if !never(pod) {
		if taking := p.refills.Look(key, pod, there, lower); taking.Times > 0 {
			p.report(ctx, key, pod, taking)
			// The nomination stays: it does no harm, and to drop it were a write.
			return nil, fwk.NewStatus(fwk.Unschedulable, taking.message())
		}
	}

	result, status := p.upstream.PostFilter(ctx, state, pod, statuses)
	switch {
	case status.IsSuccess():
		p.refills.Made(key, there)
		return result, fwk.NewStatus(fwk.Success, MessageEvicting)
	case !status.IsRejected():
		return result, status
	}
	if message := refusal(pod, statuses.Get(key.Node), len(lower), result); message != "" {
		return result, fwk.NewStatus(fwk.Unschedulable, message)
	}
	return result, fwk.NewStatus(fwk.Unschedulable)
}

// refusal says why preemption did nothing. There is nothing to say when no eviction could help.
func refusal(pod *corev1.Pod, status *fwk.Status, lower int, result *fwk.PostFilterResult) string {
	switch {
	case status.Code() != fwk.Unschedulable:
		return ""
	case never(pod):
		return MessageNever
	case result == nil: // upstream keeps the nomination while victims terminate, and only then
		return MessageTerminating
	case lower == 0:
		return MessageNobody
	case lower == 1:
		return "1 lower-priority pod does not free enough"
	}
	return fmt.Sprintf("%d lower-priority pods do not free enough", lower)
}

func never(pod *corev1.Pod) bool {
	return pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == corev1.PreemptNever
}

// podsOn are the pods of a node, and those of them that priority lets a pod evict.
func (p *Preemption) podsOn(node string, priority int32) (there, lower []*corev1.Pod) {
	info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil { // the node is gone, and its pods with it
		return nil, nil
	}
	for _, podInfo := range info.GetPods() {
		other := podInfo.GetPod()
		there = append(there, other)
		if schedcorev1.PodPriority(other) < priority {
			lower = append(lower, other)
		}
	}
	return there, lower
}

// report tells the user of a room that was taken, once, and has the pod tried again when the wait
// is over: nothing else may happen that wakes it.
func (p *Preemption) report(ctx context.Context, key daemon.CellKey, pod *corev1.Pod, taking taking) {
	if !taking.First {
		return
	}
	refillsTotal.Inc()
	logger := klog.FromContext(ctx)
	logger.Info("The room that preemption made was taken", "pod", klog.KObj(pod), "node", key.Node, "by", taking.By, "times", taking.Times, "wait", taking.Wait)
	p.handle.EventRecorder().WithLogger(logger).Eventf(pod, nil, corev1.EventTypeWarning, v1alpha1.EventPreemptionRefilled, "Preempting",
		"node %s: %s; nobody is evicted for the next %s. Run everynode-scheduler as the cluster's scheduler, which can reserve the room", key.Node, taking.message(), taking.Wait)
	p.clock.AfterFunc(taking.Wait, func() { p.wake(key) })
}

func (p *Preemption) wake(key daemon.CellKey) {
	name, known := p.refills.Waiting(key)
	if !known {
		return
	}
	pod, err := p.pods.Pods(name.Namespace).Get(name.Name)
	if err != nil { // it is gone: whoever waits in its place is looked at as any pod that is new
		return
	}
	p.handle.Activate(klog.Background(), map[string]*corev1.Pod{name.String(): pod})
}

// message does not name the time that is left: it changes with every look, and each change is a
// write.
func (t taking) message() string {
	times := "once"
	if t.Times > 1 {
		times = fmt.Sprintf("%d times", t.Times)
	}
	return fmt.Sprintf("the room that preemption made was taken by other pods %s, last by %s", times, t.By)
}

// PostBind ends the memory of a pod's place.
func (p *Preemption) PostBind(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ string) {
	if key, pinned := podfacts.KeyOf(pod); pinned {
		p.refills.Bound(key)
	}
}

// New makes the plugin.
func New(ctx context.Context, object runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args := defaultArgs()
	if err := pluginargs.Decode(Name, object, &args); err != nil {
		return nil, err
	}
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("plugin %s: %w", Name, err)
	}
	return newPlugin(ctx, args, handle, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate), clock.RealClock{})
}

func newPlugin(ctx context.Context, args Args, handle fwk.Handle, features feature.Features, clock clock.WithDelayedExecution) (*Preemption, error) {
	// How many nodes are looked at: a pod has one.
	upstream, err := defaultpreemption.New(ctx, &config.DefaultPreemptionArgs{MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100}, handle, features)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", Name, err)
	}
	upstream.MoreImportantVictim = moreImportantVictim
	return &Preemption{
		upstream: upstream, handle: handle, clock: clock, refills: newRefills(clock, args),
		pods: handle.SharedInformerFactory().Core().V1().Pods().Lister(),
	}, nil
}
