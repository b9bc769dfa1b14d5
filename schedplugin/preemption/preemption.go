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

// Preemption is the plugin; see the package documentation.
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

// Messages about preemption in a pod's status; they follow the cause why it waits.
const (
	MessageNever       = "preemptionPolicy Never: no pods are evicted for it"
	MessageNobody      = "no pod of lower priority can make room"
	MessageTerminating = "waiting for evicted pods to terminate"
	MessageEvicting    = "pods of lower priority are being evicted for it"
)

// Name of the plugin.
func (*Preemption) Name() string { return Name }

// PreEnqueue keeps a pod out of the queue while pods are being evicted for it.
func (p *Preemption) PreEnqueue(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	return p.upstream.PreEnqueue(ctx, pod)
}

// EventsToRegister wakes a pod that PreEnqueue kept out of the queue when a pod of its node is gone. Upstream
// relies on the plugin that refused the pod, which may know only one victim, as the uniqueness plugin knows a
// twin: if that one was deleted first, while others were still being evicted, nothing would wake the pod
// afterwards.
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

// PostFilter makes room for a pod on its node, and reports the result. In a profile that serves other pods too,
// upstream handles pods that are not pinned.
func (p *Preemption) PostFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	key, pinned := podfacts.KeyOf(pod)
	if !pinned {
		return p.upstream.PostFilter(ctx, state, pod, statuses)
	}
	there, lower := p.podsOn(key.Node, schedcorev1.PodPriority(pod))
	if !never(pod) {
		if taking := p.refills.Look(key, pod, there, lower); taking.Times > 0 {
			p.report(ctx, key, pod, taking)
			// The nomination stays: it does no harm, and removing it costs a write.
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

// refusal returns why preemption did nothing. It is empty when no eviction can help.
func refusal(pod *corev1.Pod, status *fwk.Status, lower int, result *fwk.PostFilterResult) string {
	switch {
	case status.Code() != fwk.Unschedulable:
		return ""
	case never(pod):
		return MessageNever
	case result == nil: // upstream keeps the nomination only while victims terminate
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

// podsOn returns the pods of a node, and those of them that have lower priority.
func (p *Preemption) podsOn(node string, priority int32) (there, lower []*corev1.Pod) {
	info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(node)
	if err != nil { // the node and its pods are gone
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

// report emits an event about a room that was taken, once, and retries the pod when the wait is over, because
// no other event may wake it.
func (p *Preemption) report(ctx context.Context, key daemon.CellKey, pod *corev1.Pod, taking taking) {
	if !taking.First {
		return
	}
	refillsTotal.Inc()
	logger := klog.FromContext(ctx)
	logger.Info("The room that preemption made was taken", "pod", klog.KObj(pod), "node", key.Node, "by", taking.By, "times", taking.Times, "wait", taking.Wait)
	p.handle.EventRecorder().WithLogger(logger).Eventf(pod, nil, corev1.EventTypeWarning, v1alpha1.EventPreemptionRefilled, "Preempting",
		"node %s: %s; no pods are evicted for the next %s. Run everynode-scheduler as the cluster's scheduler, which can reserve the room", key.Node, taking.message(), taking.Wait)
	p.clock.AfterFunc(taking.Wait, func() { p.wake(key) })
}

func (p *Preemption) wake(key daemon.CellKey) {
	name, known := p.refills.Waiting(key)
	if !known {
		return
	}
	pod, err := p.pods.Pods(name.Namespace).Get(name.Name)
	if err != nil { // it is gone: its successor is handled as a new pod
		return
	}
	p.handle.Activate(klog.Background(), map[string]*corev1.Pod{name.String(): pod})
}

// message does not contain the remaining time, which changes with every attempt, and each change is a write.
func (t taking) message() string {
	times := "once"
	if t.Times > 1 {
		times = fmt.Sprintf("%d times", t.Times)
	}
	return fmt.Sprintf("the room that preemption made was taken by other pods %s, last by %s", times, t.By)
}

// PostBind removes the record of a pod's cell.
func (p *Preemption) PostBind(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ string) {
	if key, pinned := podfacts.KeyOf(pod); pinned {
		p.refills.Bound(key)
	}
}

// New creates the plugin.
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
	// One candidate node is enough: a pod has only one.
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
