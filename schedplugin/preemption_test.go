package schedplugin

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/schedtest"
)

// Preemption with the shipped profile: a twin of lower priority may be a victim, one of equal priority
// never is, and there are no more victims than needed (S6).
func TestPreemption(t *testing.T) {
	other := func(name string) *schedtest.Pod {
		return schedtest.Twin(name).Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e"))
	}
	const (
		fits        = "fits"
		nominated   = "nominated"
		notPossible = "not possible"
	)
	tests := map[string]struct {
		pod         *schedtest.Pod // defaults to schedtest.MakePod("p")
		pods        []*schedtest.Pod
		nominated   []*schedtest.Pod // other pods that wait for n1 with a nomination
		want        string
		wantVictims []string
	}{
		"an empty node":                             {want: fits},
		"a twin of lower priority":                  {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99)}, want: nominated, wantVictims: []string{"t"}},
		"a twin of equal priority":                  {pods: []*schedtest.Pod{schedtest.Twin("t")}, want: notPossible},
		"a twin of higher priority":                 {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(101)}, want: notPossible},
		"a lower twin that is terminating":          {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99).Terminating()}, want: nominated}, // and no pod has to be evicted
		"two lower twins":                           {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99), schedtest.Twin("u").Priority(98)}, want: nominated, wantVictims: []string{"t", "u"}},
		"one lower twin, one equal":                 {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99), schedtest.Twin("u")}, want: notPossible},
		"a lower twin, but never preempts":          {pod: schedtest.MakePod("p").Never(), pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99)}, want: notPossible},
		"a lower twin of another node":              {pods: []*schedtest.Pod{schedtest.Twin("t").On("n2").Priority(99)}, want: fits},
		"other pods of lower priority":              {pods: []*schedtest.Pod{other("s").Priority(1)}, want: fits},
		"a lower twin and another pod":              {pods: []*schedtest.Pod{other("s").Priority(1).CPU("1"), schedtest.Twin("t").Priority(99).CPU("1")}, want: nominated, wantVictims: []string{"t"}},
		"an equal twin and another pod":             {pods: []*schedtest.Pod{other("s").Priority(1).CPU("1"), schedtest.Twin("t").CPU("1")}, want: notPossible},
		"a lower twin whose room is sufficient":     {pod: schedtest.MakePod("p").CPU("1"), pods: []*schedtest.Pod{other("s").Priority(1).CPU("1"), schedtest.Twin("t").Priority(99).CPU("1")}, want: nominated, wantVictims: []string{"t"}},
		"a lower twin whose room is not sufficient": {pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{other("s").Priority(1).CPU("1"), schedtest.Twin("t").Priority(99).CPU("1")}, want: nominated, wantVictims: []string{"s", "t"}},
		"no room, a lower pod":                      {pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{other("s").Priority(1).CPU("1")}, want: nominated, wantVictims: []string{"s"}},
		"no room, an equal pod":                     {pod: schedtest.MakePod("p").CPU("2"), pods: []*schedtest.Pod{other("s").CPU("1")}, want: notPossible},

		// A nominated twin counts as if it were bound, so two pods of a cell never both preempt.
		"an equal twin was nominated":             {nominated: []*schedtest.Pod{schedtest.MakePod("t")}, want: notPossible},
		"a lower twin was nominated":              {nominated: []*schedtest.Pod{schedtest.MakePod("t").Priority(99)}, want: notPossible}, // it is pending
		"an equal one nominated over a lower one": {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99)}, nominated: []*schedtest.Pod{schedtest.MakePod("u")}, want: notPossible},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// Evictions have to be finished when PostFilter returns.
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.SchedulerAsyncPreemption, false)
			ctx := schedtest.Quiet(t)
			preemptor := test.pod
			if preemptor == nil {
				preemptor = schedtest.MakePod("p")
			}
			sched, client := twoNodes(t, ctx, slices.Concat([]*schedtest.Pod{preemptor}, test.pods), test.nominated)
			got, gotVictims := tryToPlace(t, ctx, sched, client, preemptor.Obj())
			want := map[string]*fwk.PostFilterResult{
				nominated:   framework.NewPostFilterResultWithNominatedNode("n1"),
				notPossible: framework.NewPostFilterResultWithNominatedNode(""),
			}[test.want]
			if preemptor.Spec.PreemptionPolicy != nil {
				want = nil // an earlier nomination would stay, but there is none
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("nomination (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantVictims, gotVictims); diff != "" {
				t.Errorf("victims (-want, +got):\n%s", diff)
			}
		})
	}
}

// twoNodes returns a scheduler of the nodes n1 and n2 with pods, some of which are nominated for n1.
func twoNodes(t *testing.T, ctx context.Context, pods, nominated []*schedtest.Pod) (*scheduler.Scheduler, *fake.Clientset) {
	t.Helper()
	var all []*corev1.Pod
	for _, p := range slices.Concat(pods, nominated) {
		all = append(all, p.Obj())
	}
	capacity := map[corev1.ResourceName]string{corev1.ResourceCPU: "2", corev1.ResourcePods: "10"}
	nodes := []*corev1.Node{st.MakeNode().Name("n1").Capacity(capacity).Obj(), st.MakeNode().Name("n2").Capacity(capacity).Obj()}
	sched, client, err := newScheduler(ctx, load(t, shipped(t)), all, nodes)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range nominated {
		p.Status.NominatedNodeName = "n1"
		sched.SchedulingQueue.Add(ctx, p.Obj())
	}
	return sched, client
}

// tryToPlace runs a scheduling cycle up to preemption. It returns the nomination, nil when
// the pod fits, and the names of the pods that were evicted for it.
func tryToPlace(t *testing.T, ctx context.Context, sched *scheduler.Scheduler, client *fake.Clientset, p *corev1.Pod) (*fwk.PostFilterResult, []string) {
	t.Helper()
	profile, state := sched.Profiles[v1alpha1.SchedulerName], framework.NewCycleState()
	result, status, _ := profile.RunPreFilterPlugins(ctx, state, p)
	if !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	statuses := framework.NewNodeToStatus(map[string]*fwk.Status{}, fwk.NewStatus(fwk.UnschedulableAndUnresolvable))
	for node := range result.NodeNames {
		info, err := profile.SnapshotSharedLister().NodeInfos().Get(node)
		if err != nil {
			t.Fatal(err)
		}
		status := profile.RunFilterPluginsWithNominatedPods(ctx, state, p, info)
		if status.IsSuccess() {
			return nil, nil
		}
		statuses.Set(node, status)
	}

	nomination, status := profile.RunPostFilterPlugins(ctx, state, p, statuses)
	if !status.IsSuccess() && !status.IsRejected() {
		t.Fatalf("PostFilter: %v", status)
	}
	var victims []string
	for _, action := range client.Actions() {
		if deletion, ok := action.(clienttesting.DeleteAction); ok {
			victims = append(victims, deletion.GetName())
		}
	}
	slices.Sort(victims)
	return nomination, victims
}
