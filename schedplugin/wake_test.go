package schedplugin

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/schedtest"
	"github.com/everynode/everynode/schedplugin/preemption"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

// Only events that concern its cell wake a waiting pod, in the real queue with the
// shipped profile's hints.
func TestWaitingPodWakes(t *testing.T) {
	deleted := func(p *schedtest.Pod) func(queue.SchedulingQueue) {
		return func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, framework.EventAssignedPodDelete, p.Obj(), nil, nil)
		}
	}
	nodeAdded := func(name string) func(queue.SchedulingQueue) {
		return func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}, nil, st.MakeNode().Name(name).Obj(), nil)
		}
	}
	tests := map[string]struct {
		evicting bool // pods were being evicted for it when its twin went
		happens  func(queue.SchedulingQueue)
		want     bool // the pod is queued again
	}{
		"its twin is deleted":                         {happens: deleted(schedtest.Twin("t")), want: true},
		"its nominated twin is deleted":               {happens: deleted(schedtest.MakePod("t")), want: true},
		"the daemon's pod of another node is deleted": {happens: deleted(schedtest.Twin("t").On("n2"))},
		"another daemon's pod of the node is deleted": {happens: deleted(schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e")))},
		"another victim of the node is deleted":       {evicting: true, happens: deleted(schedtest.Twin("l").Owner()), want: true},
		"a pod of another node is deleted":            {evicting: true, happens: deleted(schedtest.Twin("l").Owner().On("n2"))},
		"its twin is released": {happens: func(q queue.SchedulingQueue) {
			before, after := schedtest.Twin("t").Obj(), schedtest.Twin("t").Owner().Obj()
			for _, event := range framework.PodSchedulingPropertiesChange(after, before, false) {
				q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, event, before, after, nil)
			}
		}, want: true},
		"a twin is bound": {happens: func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, framework.EventAssignedPodAdd, nil, schedtest.Twin("t").Obj(), nil)
		}},
		// A pod may be created before the scheduler sees its node. NodeAffinity's hint handles that.
		"its node is added":     {happens: nodeAdded("n1"), want: true},
		"another node is added": {happens: nodeAdded("n2")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := schedtest.Quiet(t)
			sched, _, err := newScheduler(ctx, load(t, shipped(t)), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			q := sched.SchedulingQueue
			// Plugins that named nodes in PreFilter count as those that refused the pod.
			refusedBy := sets.New(uniqueness.Name, names.NodeAffinity)
			if test.evicting { // PreEnqueue kept it
				refusedBy.Insert(preemption.Name)
			}
			addRefused(ctx, t, q, refusedBy)
			test.happens(q)
			if got := len(q.UnschedulablePods()) == 0; got != test.want {
				t.Errorf("queued again: %v, want %v", got, test.want)
			}
		})
	}
}

// addRefused adds a pod to the queue, and has it refused by plugins.
func addRefused(ctx context.Context, t *testing.T, q queue.SchedulingQueue, by sets.Set[string]) {
	t.Helper()
	waiting := schedtest.MakePod("p").Obj()
	waiting.Spec.SchedulerName = v1alpha1.SchedulerName
	q.Add(ctx, waiting)
	entity, err := q.Pop(klog.FromContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	refused, ok := entity.(*framework.QueuedPodInfo)
	if !ok {
		t.Fatalf("the queue returned a %T", entity)
	}
	refused.UnschedulablePlugins = by
	if err := q.AddUnschedulablePodIfNotPresent(klog.FromContext(ctx), refused, q.SchedulingCycle()); err != nil {
		t.Fatal(err)
	}
	q.Done(waiting.UID)
	if waits := len(q.UnschedulablePods()); waits != 1 {
		t.Fatalf("%d pods wait, want 1", waits)
	}
}
