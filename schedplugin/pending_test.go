package schedplugin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/schedtest"
	"github.com/everynode/everynode/schedplugin/pending"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

// The message of a daemon's pod that cannot be placed does not depend on other nodes.
func TestPendingMessage(t *testing.T) {
	stranger := func(name string, priority int32) *schedtest.Pod {
		return schedtest.Twin(name).Owner().Priority(priority)
	}
	tests := map[string]struct {
		pod   *schedtest.Pod
		pods  []*schedtest.Pod
		taint string
		want  string
	}{
		"no room": {
			pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{stranger("s", 100).CPU("500m")},
			want: "node n1: insufficient cpu: needs 2000m, 1500m free; no pod of lower priority can make room.",
		},
		"no room, one pod does not free enough": {
			pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{stranger("s", 100).CPU("500m"), stranger("l", 1).CPU("1")},
			want: "node n1: insufficient cpu: needs 2000m, 500m free; 1 lower-priority pod does not free enough.",
		},
		"no room, two pods do not free enough": {
			pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{stranger("s", 100).CPU("500m"), stranger("l", 1).CPU("1"), stranger("m", 1)},
			want: "node n1: insufficient cpu: needs 2000m, 500m free; 2 lower-priority pods do not free enough.",
		},
		"more than the node has": {
			pod: schedtest.MakePod("p").CPU("3"), pods: []*schedtest.Pod{stranger("l", 1).CPU("1")},
			want: "node n1: insufficient cpu: needs 3000m, the node has 2000m.",
		},
		"never preempts": {
			pod: schedtest.MakePod("p").CPU("2").Never(), pods: []*schedtest.Pod{stranger("l", 1).CPU("1")},
			want: "node n1: insufficient cpu: needs 2000m, 1000m free; preemptionPolicy Never: no pods are evicted for it.",
		},
		"makes room": {
			pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{stranger("l", 1).CPU("1")},
			want: "node n1: insufficient cpu: needs 2000m, 1000m free; pods of lower priority are being evicted for it.",
		},
		"its twin": {
			pod: schedtest.MakePod("p"), pods: []*schedtest.Pod{schedtest.Twin("t")},
			want: "node n1: already has pod t of the same DaemonSet.",
		},
		"a taint": {
			pod: schedtest.MakePod("p"), taint: "dedicated",
			want: "node n1: had untolerated taint(s).",
		},
		"no such node": {
			pod:  schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n9999"))),
			want: "node n9999: does not exist; the pod is placed when it appears.",
		},
	}
	for name, test := range tests {
		for _, others := range []int{0, 7} {
			t.Run(fmt.Sprintf("%s/%d other nodes", name, others), func(t *testing.T) {
				featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.SchedulerAsyncPreemption, false)
				node := st.MakeNode().Name("n1").Capacity(map[corev1.ResourceName]string{corev1.ResourceCPU: "2", corev1.ResourcePods: "10"})
				if test.taint != "" {
					node.Taints([]corev1.Taint{{Key: test.taint, Effect: corev1.TaintEffectNoSchedule}})
				}
				nodes := []*corev1.Node{node.Obj()}
				for i := range others {
					nodes = append(nodes, st.MakeNode().Name(fmt.Sprintf("other-%d", i)).Obj())
				}
				if got, want := messageOf(t, test.pod, test.pods, nodes), "0/1 nodes are available: "+test.want; got != want {
					t.Errorf("message %q, want %q", got, want)
				}
			})
		}
	}
}

// In a cluster without nodes the framework calls no plugin.
func TestPendingMessageWithoutNodes(t *testing.T) {
	want := "0/1 nodes are available: node n1: " + uniqueness.ReasonNoNode + "."
	if got := messageOf(t, schedtest.MakePod("p"), nil, nil); got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

// The message of a pod that is not served has instructions, and does not mention nodes.
func TestPendingMessageOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		pod  *schedtest.Pod
		want string
	}{
		"without an owner": {schedtest.MakePod("p").Owner(), uniqueness.ReasonNotOwned},
		"not pinned":       {schedtest.MakePod("p").Affinity(nil), uniqueness.ReasonNotPinned},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := []*corev1.Node{st.MakeNode().Name("n1").Obj(), st.MakeNode().Name("n2").Obj()}
			if got, want := messageOf(t, test.pod, nil, nodes), "0/1 nodes are available: "+test.want+"."; got != want {
				t.Errorf("message %q, want %q", got, want)
			}
		})
	}
}

// Statuses that do not concern a node pass unchanged.
func TestPendingLeavesOthers(t *testing.T) {
	failed := fwk.AsStatus(errors.New("the API server refused the binding"))
	elsewhere := fwk.NewStatus(fwk.Unschedulable).WithError(&framework.FitError{NumAllNodes: 3})
	for name, test := range map[string]struct {
		pod    *schedtest.Pod
		status *fwk.Status
	}{
		"an error":                              {schedtest.MakePod("p"), failed},
		"a pod of default-scheduler":            {schedtest.MakePod("p").Owner().Affinity(nil), elsewhere},
		"an error of such a pod":                {schedtest.MakePod("p").Owner().Affinity(nil), failed},
		"such a pod in a cluster without nodes": {schedtest.MakePod("p").Owner().Affinity(nil), fwk.NewStatus(fwk.Unschedulable).WithError(scheduler.ErrNoNodesAvailable)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := handled(t, test.pod.Obj(), test.status); got != test.status {
				t.Errorf("the status is %v, want it unchanged: %v", got, test.status)
			}
		})
	}
}

// messageOf runs a scheduling cycle with the shipped profile and returns its message.
func messageOf(t *testing.T, p *schedtest.Pod, there []*schedtest.Pod, nodes []*corev1.Node) string {
	t.Helper()
	ctx, pods := schedtest.Quiet(t), []*corev1.Pod{p.Obj()}
	for _, other := range there {
		pods = append(pods, other.Obj())
	}
	sched, _, err := newScheduler(ctx, load(t, shipped(t)), pods, nodes)
	if err != nil {
		t.Fatal(err)
	}
	profile, state := sched.Profiles[v1alpha1.SchedulerName], framework.NewCycleState()
	info, err := framework.NewPodInfo(p.Obj())
	if err != nil {
		t.Fatal(err)
	}
	_, err = sched.SchedulePod(ctx, profile, state, &framework.QueuedPodInfo{PodInfo: info})
	if err == nil {
		t.Fatal("the pod was placed")
	}
	var fit *framework.FitError
	if errors.As(err, &fit) {
		_, status := profile.RunPostFilterPlugins(ctx, state, p.Obj(), fit.Diagnosis.NodeToStatus)
		fit.Diagnosis.PostFilterMsg = status.Message()
	}
	status := handled(t, p.Obj(), fwk.NewStatus(fwk.Unschedulable).WithError(err))
	if !status.IsRejected() {
		t.Errorf("status code %v, want the pod to count as unschedulable", status.Code())
	}
	var explained *framework.FitError
	if errors.As(status.AsError(), &explained) && fit != nil && !explained.Diagnosis.UnschedulablePlugins.Equal(fit.Diagnosis.UnschedulablePlugins) {
		t.Errorf("refused by %v, want %v: their hints wake the pod", explained.Diagnosis.UnschedulablePlugins, fit.Diagnosis.UnschedulablePlugins)
	}
	return status.Message()
}

// handled returns the status that the scheduler's own failure handler gets.
func handled(t *testing.T, p *corev1.Pod, status *fwk.Status) *fwk.Status {
	t.Helper()
	info, err := framework.NewPodInfo(p)
	if err != nil {
		t.Fatal(err)
	}
	var got *fwk.Status
	handler := pending.Explain(func(_ context.Context, _ framework.Framework, _ *framework.QueuedPodInfo, status *fwk.Status, _ *fwk.NominatingInfo, _ time.Time) {
		got = status
	})
	handler(t.Context(), nil, &framework.QueuedPodInfo{PodInfo: info}, status, nil, time.Time{})
	return got
}
