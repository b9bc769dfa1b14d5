package daemon

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
)

// t0 is the time at which tests begin.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var (
	eligible   = Verdict{ShouldRun: true, ShouldContinue: true, Reason: ReasonEligible, Message: "node n1 is eligible"}
	noSchedule = Verdict{ShouldContinue: true, Reason: ReasonNoScheduleTaint, Message: "node n1 has a NoSchedule taint"}
	mismatch   = Verdict{Reason: ReasonNodeSelector, Message: "node n1 does not match"}
)

// cellsModel holds the same facts as Cells and derives everything from them, with no deltas.
type cellsModel struct {
	cells    Cells
	now      time.Time
	revision string
	minReady time.Duration
	nodes    map[string]types.UID
	verdicts map[string]Verdict
	pods     map[string]map[types.UID]Pod
}

// stays picks the pod that counts by asking each pair, not by sorting.
func stays(pods map[types.UID]Pod) Pod {
	var best *Pod
	for _, pod := range pods {
		if best == nil || preferred(pod, *best) {
			best = &pod
		}
	}
	return *best
}

func preferred(a, b Pod) bool {
	switch {
	case a.Terminating != b.Terminating:
		return b.Terminating
	case a.Finished != b.Finished:
		return b.Finished
	case a.Bound != b.Bound:
		return a.Bound
	case a.Ready != b.Ready:
		return a.Ready
	case !a.Created.Equal(b.Created):
		return a.Created.Before(b.Created)
	case a.Name != b.Name:
		return a.Name < b.Name
	}
	return a.UID < b.UID
}

// counters are those of the nodes that exist.
func (m *cellsModel) counters() (want Counters) {
	for node := range m.nodes {
		pods := m.pods[node]
		if !m.verdicts[node].ShouldRun {
			if len(pods) > 0 {
				want.Misscheduled++
			}
			continue
		}
		want.Desired++
		if len(pods) == 0 {
			continue
		}
		want.Current++
		pod := stays(pods)
		if pod.Finished {
			want.Pending++
		}
		if pod.Revision == m.revision {
			want.Updated++
		}
		if pod.Ready {
			want.Ready++
			if m.minReady == 0 || m.now.Sub(pod.ReadySince) >= m.minReady {
				want.Available++
			}
		}
	}
	return want
}

// held are the nodes that are there or have pods.
func (m *cellsModel) held() []string {
	nodes := []string{}
	for node := range m.nodes {
		nodes = append(nodes, node)
	}
	for node, pods := range m.pods {
		if _, there := m.nodes[node]; !there && len(pods) > 0 {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// check compares the sums. Available is exact only after every cell was planned at this time.
func (m *cellsModel) check(t *rapid.T, planned bool) {
	nodes := m.held()
	if diff := cmp.Diff(nodes, m.cells.Nodes()); diff != "" || m.cells.Len() != len(nodes) {
		t.Fatalf("Len %d, cells (-want, +got):\n%s", m.cells.Len(), diff)
	}
	for _, revision := range []string{"r1", "r2", "r3"} {
		holds := false
		for _, pods := range m.pods {
			for _, pod := range pods {
				holds = holds || pod.Revision == revision
			}
		}
		if m.cells.Holds(revision) != holds {
			t.Fatalf("Holds(%s) = %v, want %v", revision, !holds, holds)
		}
	}
	want, got := m.counters(), m.cells.Counters()
	if !planned {
		if got.Available > want.Available || got.Available < 0 {
			t.Fatalf("available = %d before planning, want 0 to %d", got.Available, want.Available)
		}
		got.Available = want.Available
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("counters (-want, +got):\n%s", diff)
	}
}

var (
	drawName     = rapid.SampledFrom([]string{"n1", "n2", "n3"})
	drawVerdict  = rapid.SampledFrom([]Verdict{eligible, eligible, noSchedule, mismatch})
	drawRevision = rapid.SampledFrom([]string{"r1", "r2"})
)

// drawPod draws a pod that is not ready in the future: clocks that differ are not meant here.
func drawPod(t *rapid.T, now time.Time) Pod {
	slot := rapid.IntRange(0, 3).Draw(t, "pod")
	pod := Pod{
		UID: types.UID(fmt.Sprintf("uid-%d", slot)), Name: fmt.Sprintf("pod-%d", 1-slot/2), // two share a name
		Revision:    drawRevision.Draw(t, "revision"),
		NodeUID:     rapid.SampledFrom([]types.UID{"", "a", "b"}).Draw(t, "nodeUID"),
		Created:     t0.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "created")) * time.Second),
		Bound:       rapid.Bool().Draw(t, "bound"),
		Terminating: rapid.Bool().Draw(t, "terminating"),
		Finished:    rapid.Bool().Draw(t, "finished"),
		Ready:       rapid.Bool().Draw(t, "ready"),
	}
	if pod.Ready {
		pod.ReadySince = now.Add(-time.Duration(rapid.IntRange(0, 30).Draw(t, "readyFor")) * time.Second)
	}
	return pod
}

func TestCellsKeepTheirSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &cellsModel{now: t0, nodes: map[string]types.UID{}, verdicts: map[string]Verdict{}, pods: map[string]map[types.UID]Pod{}}
		t.Repeat(map[string]func(*rapid.T){
			"SetTemplate": func(t *rapid.T) {
				m.revision = drawRevision.Draw(t, "current")
				m.minReady = time.Duration(rapid.SampledFrom([]int{0, 10}).Draw(t, "minReady")) * time.Second
				m.cells.SetTemplate(m.revision, m.minReady, Strategy{OnDelete: true}, m.now)
				m.check(t, true)
			},
			"SetNode": func(t *rapid.T) {
				node, uid, verdict := drawName.Draw(t, "node"), types.UID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "uid")), drawVerdict.Draw(t, "verdict")
				want := m.nodes[node] != uid || m.verdicts[node] != verdict
				m.nodes[node], m.verdicts[node] = uid, verdict
				if got := m.cells.SetNode(node, uid, verdict, m.now); got != want {
					t.Fatalf("SetNode = %v, want %v", got, want)
				}
			},
			"RemoveNode": func(t *rapid.T) {
				node := drawName.Draw(t, "node")
				delete(m.nodes, node)
				delete(m.verdicts, node)
				m.cells.RemoveNode(node, m.now)
			},
			"SetPod": func(t *rapid.T) {
				node, pod := drawName.Draw(t, "node"), drawPod(t, m.now)
				if m.pods[node] == nil {
					m.pods[node] = map[types.UID]Pod{}
				}
				pod.Terminating = pod.Terminating || m.pods[node][pod.UID].Terminating
				m.pods[node][pod.UID] = pod
				m.cells.SetPod(node, &pod, m.now)
			},
			"RemovePod": func(t *rapid.T) {
				node, uid := drawName.Draw(t, "node"), types.UID(fmt.Sprintf("uid-%d", rapid.IntRange(0, 3).Draw(t, "pod")))
				delete(m.pods[node], uid)
				m.cells.RemovePod(node, uid, m.now)
			},
			"time passes": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
			},
			"Plan": func(t *rapid.T) {
				for _, node := range []string{"n1", "n2", "n3"} {
					m.cells.Plan(node, m.now)
				}
				m.check(t, true)
			},
			"": func(t *rapid.T) { m.check(t, false) },
		})
		// Nothing may be left of what was added, in the sums either.
		for node, pods := range m.pods {
			for uid := range pods {
				m.cells.RemovePod(node, uid, m.now)
			}
			m.cells.RemoveNode(node, m.now)
		}
		for node := range m.nodes {
			m.cells.RemoveNode(node, m.now)
		}
		if diff := cmp.Diff(Counters{}, m.cells.Counters()); diff != "" || m.cells.Len() != 0 {
			t.Fatalf("%d cells are left, counters (-want, +got):\n%s", m.cells.Len(), diff)
		}
	})
}

// Whatever was seen before, and in whatever order, only the last state of each pod decides.
func TestCellsForgetTheOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		final := map[types.UID]Pod{}
		for range rapid.IntRange(1, 4).Draw(t, "pods") {
			pod := drawPod(t, t0)
			final[pod.UID] = pod
		}
		verdict := drawVerdict.Draw(t, "verdict")
		uids := []types.UID{}
		for uid := range final {
			uids = append(uids, uid)
		}
		slices.Sort(uids)
		replay := func(order []types.UID, earlier bool) (Plan, Counters) {
			var events []Pod
			for _, uid := range order {
				if earlier { // an older state of the pod comes first
					before := final[uid]
					before.Bound, before.Ready, before.Terminating = !before.Bound, false, false
					events = append(events, before)
				}
			}
			for _, uid := range order {
				events = append(events, final[uid])
			}
			var cells Cells
			cells.SetTemplate("r1", 10*time.Second, Strategy{OnDelete: true}, t0)
			for i, pod := range events {
				if i == len(events)/2 { // and the node comes in between
					cells.SetNode("n1", "a", verdict, t0)
				}
				cells.SetPod("n1", &pod, t0)
			}
			return cells.Plan("n1", t0), cells.Counters()
		}
		wantPlan, wantCounters := replay(uids, false)
		order := rapid.Permutation(uids).Draw(t, "order")
		gotPlan, gotCounters := replay(order, rapid.Bool().Draw(t, "earlier"))
		if diff := cmp.Diff(wantPlan, gotPlan); diff != "" {
			t.Fatalf("plan (-want, +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantCounters, gotCounters); diff != "" {
			t.Fatalf("counters (-want, +got):\n%s", diff)
		}
	})
}

// better must be a total order that ranks as the house does, or BinarySearch misplaces pods.
func TestBetterAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPod(t, t0), drawPod(t, t0)
		want := 0
		switch {
		case preferred(a, b):
			want = -1
		case preferred(b, a):
			want = 1
		}
		if got, mirrored := better(&a, &b), better(&b, &a); got != want || mirrored != -want {
			t.Fatalf("better = %d, mirrored %d, want %d\na: %+v\nb: %+v", got, mirrored, want, a, b)
		}
	})
}

func TestPlanOfAnUnknownCellDoesNothing(t *testing.T) {
	var cells Cells
	cells.RemoveNode("n1", t0)
	cells.RemovePod("n1", "u", t0)
	if diff := cmp.Diff(Plan{}, cells.Plan("n1", t0)); diff != "" || cells.Len() != 0 {
		t.Errorf("%d cells, plan (-want, +got):\n%s", cells.Len(), diff)
	}
}

func TestObservePod(t *testing.T) {
	created, deleted, ready := metav1.NewTime(t0), metav1.NewTime(t0.Add(time.Hour)), metav1.NewTime(t0.Add(time.Minute))
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: created},
			{Type: kind, Status: status, LastTransitionTime: ready},
		}
	}
	tests := map[string]struct {
		pod  corev1.Pod
		want Pod
	}{
		"emitted and pending": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: "p", UID: "u", CreationTimestamp: created,
				Labels:      map[string]string{"controller-revision-hash": "r1"},
				Annotations: map[string]string{v1alpha1.NodeUIDAnnotation: "a"},
			}},
			want: Pod{Name: "p", UID: "u", Created: t0, Revision: "r1", NodeUID: "a"},
		},
		"bound":                  {pod: corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1"}}, want: Pod{Bound: true}},
		"made to surge":          {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.SurgeAnnotation: "true"}}}, want: Pod{Surges: true}},
		"terminating":            {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}}, want: Pod{Terminating: true}},
		"running":                {pod: corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}},
		"failed":                 {pod: corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, want: Pod{Finished: true, Failed: true}},
		"succeeded":              {pod: corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, want: Pod{Finished: true}},
		"ready":                  {pod: corev1.Pod{Status: corev1.PodStatus{Conditions: condition(corev1.PodReady, corev1.ConditionTrue)}}, want: Pod{Ready: true, ReadySince: ready.Time}},
		"not ready":              {pod: corev1.Pod{Status: corev1.PodStatus{Conditions: condition(corev1.PodReady, corev1.ConditionFalse)}}},
		"readiness unknown":      {pod: corev1.Pod{Status: corev1.PodStatus{Conditions: condition(corev1.PodReady, corev1.ConditionUnknown)}}},
		"scheduled is not ready": {pod: corev1.Pod{Status: corev1.PodStatus{Conditions: condition(corev1.PodScheduled, corev1.ConditionTrue)}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.want.Created.IsZero() {
				test.want.Created = test.pod.CreationTimestamp.Time
			}
			if diff := cmp.Diff(test.want, ObservePod(&test.pod)); diff != "" {
				t.Errorf("pod (-want, +got):\n%s", diff)
			}
		})
	}
}
