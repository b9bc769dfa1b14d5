package model

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	large "github.com/everynode/everynode/internal/hostile"
)

// A verdict that was found with rules, or for a state of a node, that are no longer there is not noted.
func TestVerdictsOfTheFormerRulesAreNotNoted(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	s.seeNode(node)
	see(t, s, set)
	known := s.daemons[keyOf(set)]
	no := func(Update, *corev1.Node, daemon.Verdict) { t.Error("a verdict of the former rules is noted") }
	former := &judgeNodes{known: known, news: no}
	s.update(func(u Update) { former.Step(u) })
	former.Compute()
	see(t, s, makeDaemon("d", generation(2), onlyWhere("disk", "ssd")))
	s.run(former)
	stale := makeNode("n1", labelled("disk", "ssd"))
	s.update(func(u Update) {
		if u.note(known, known.rules, stale, known.rules.Evaluate(stale)) {
			t.Error("the verdict on a former state of the node is noted")
		}
	})
	if _, counters := countersOf(s, keyOf(set)); counters.Desired != 0 {
		t.Errorf("%d nodes should run a pod, want none", counters.Desired)
	}
}

// While the nodes are judged by a new template nothing is planned by it.
func TestNothingIsPlannedWhileNodesAreJudged(t *testing.T) {
	s, _, _ := newTestState()
	set := makeDaemon("d")
	s.seeNode(makeNode("n1"))
	see(t, s, set)
	if len(s.task(keyOf(set).On("n1")).Actions) == 0 {
		t.Fatal("nothing is planned for a daemon without pods")
	}
	changed := workloadOf(makeDaemon("d", generation(2), onlyWhere("disk", "ssd")))
	terms, problem := servable(changed)
	if problem != nil {
		t.Fatal(problem.Message)
	}
	s.update(func(u Update) { u.install(changed.Key, changed, terms) })
	if actions := s.task(keyOf(set).On("n1")).Actions; len(actions) > 0 {
		t.Errorf("planned %v before the node is judged", actions)
	}
	s.recordsChanged(keyOf(set))
	if actions := s.task(keyOf(set).On("n1")).Actions; len(actions) > 0 {
		t.Errorf("planned %v before the node is judged, once records changed", actions)
	}
}

// Owners that pods make up cost a node's event nothing.
func TestMadeUpOwnersAreNotJudged(t *testing.T) {
	s, q, _ := newTestState()
	see(t, s, makeDaemon("d"))
	s.seeNode(makeNode("n1"))
	for i := range 100 {
		forged := makeDaemon("forged")
		forged.UID = types.UID(fmt.Sprintf("uid-%d", i))
		s.seePod(makePod(forged, makeNode("n1"), podUID(types.UID(fmt.Sprintf("p%d", i)))))
	}
	q.Drain()
	s.seeNode(makeNode("n2"))
	s.forgetNode("n1")
	plans, _ := q.Drain()
	wantStrings(t, "plans", []string{"uid-d on n1", "uid-d on n2"}, plans)
	if judged := judgedBy(s); judged != 1 {
		t.Errorf("a node is judged for %d daemons, want 1", judged)
	}
}

func judgedBy(s *state) int {
	some, _ := s.index.judged(daemon.WorkloadKey{}, 1000)
	return len(some)
}

// Only a pod that was bound to the node, and still runs there, keeps the daemon that follows waiting.
func TestFormerPodsThatHoldTheirPlace(t *testing.T) {
	failed := func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }
	tests := map[string]struct {
		change []func(*corev1.Pod)
		holds  bool
	}{
		"bound":                 {[]func(*corev1.Pod){bound("n1")}, true},
		"bound and terminating": {[]func(*corev1.Pod){bound("n1"), terminating}, true},
		"never bound":           {nil, false},
		"never bound, held by a finalizer": {[]func(*corev1.Pod){terminating, func(pod *corev1.Pod) {
			pod.Finalizers = []string{"eve.example/keep"}
		}}, false},
		"finished": {[]func(*corev1.Pod){bound("n1"), failed}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, q, _ := newTestState()
			set, node := makeDaemon("d"), makeNode("n1")
			s.seeNode(node)
			former := makeDaemon("d")
			former.UID = "uid-former"
			pod := makePod(former, node, append(test.change, podUID("former"))...)
			s.seePod(pod)
			see(t, s, set)
			wants := ""
			if test.holds {
				wants = pod.Name
			}
			if got := s.task(keyOf(set).On("n1")).Former; got != wants {
				t.Errorf("the daemon waits for %q, want %q", got, wants)
			}
			q.Drain()
			failed(pod)
			pod.Spec.NodeName = "n1"
			s.seePod(pod)
			if plans, _ := q.Drain(); test.holds && !contains(plans, "uid-d on n1") {
				t.Errorf("planned %v once the pod has finished: uid-d on n1 goes on waiting", plans)
			}
			s.forgetPod(pod)
			if n := len(s.index.former) + len(s.index.placeOf); n != 0 {
				t.Errorf("%d entries are left of a pod that is gone", n)
			}
		})
	}
}

// The pods of a daemon that was seen after them are no former ones, and become so when it goes.
func TestFormerPodsFollowTheirDaemon(t *testing.T) {
	s, _, _ := newTestState()
	set, next, node := makeDaemon("d"), makeDaemon("d"), makeNode("n1")
	next.UID = "uid-next"
	s.seeNode(node)
	pod := makePod(set, node, bound("n1"))
	s.seePod(pod)
	see(t, s, set)
	see(t, s, next)
	if former := s.task(keyOf(next).On("n1")).Former; former != "" {
		t.Errorf("waits for %q of a daemon that is there", former)
	}
	s.forgetDaemon(keyOf(set))
	if former := s.task(keyOf(next).On("n1")).Former; former != pod.Name {
		t.Errorf("waits for %q, want %q", former, pod.Name)
	}
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

// A pod's labels, owners and texts are kept only as far as they can matter.
func TestWhatIsKeptOfAPodIsBounded(t *testing.T) {
	const most = 32 << 10
	for _, kind := range large.Kinds() {
		pod := large.PodOf(kind, 5000)
		orphan := pod.DeepCopy()
		orphan.OwnerReferences = nil
		for name, pod := range map[string]*corev1.Pod{"owned": pod, "orphan": orphan} {
			seen := everynodeOnly.ObservePod(pod)
			if kept := len(seen.family.Value().labels); kept > most {
				t.Errorf("%s pod of %s: %d bytes of labels are kept", name, kind, kept)
			}
		}
	}
	set := makeDaemon("d")
	long := makePod(set, makeNode("n1"), func(pod *corev1.Pod) {
		pod.Annotations[v1alpha1.NodeUIDAnnotation] = string(make([]byte, 200<<10))
	})
	if kept := len(everynodeOnly.ObservePod(long).NodeUID); kept > most {
		t.Errorf("%d bytes of the annotation %s are kept", kept, v1alpha1.NodeUIDAnnotation)
	}
	long.OwnerReferences[0].Name = string(make([]byte, 1<<20))
	if everynodeOnly.ObservePod(long).ours {
		t.Error("an owner whose name no object can have is taken for a DaemonSet")
	}
}

// A pod with more labels than are kept is neither adopted nor released.
func TestPodsOfManyLabelsStayWhoseTheyAre(t *testing.T) {
	s, _, _ := newTestState()
	set, node := makeDaemon("d"), makeNode("n1")
	see(t, s, set)
	s.seeNode(node)
	many := func(pod *corev1.Pod) {
		for i := range mostLabels + 1 {
			metav1.SetMetaDataLabel(&pod.ObjectMeta, fmt.Sprintf("l%d", i), "")
		}
	}
	s.seePod(makePod(set, node, podUID("p"), orphaned, many))
	s.seePod(makePod(set, node, podUID("q"), relabelled, many))
	wantStrings(t, "due", nil, claimsOf(s, set, "n1"))
}

// Labels are looked up alike, few or many.
func TestLabelsFewAndMany(t *testing.T) {
	for _, n := range []int{1, mostLabels} {
		pod := makePod(makeDaemon("d"), makeNode("n1"), func(pod *corev1.Pod) {
			pod.Labels = map[string]string{}
			for i := range n {
				pod.Labels[fmt.Sprintf("l%d", i)] = fmt.Sprint(i)
			}
		})
		of := everynodeOnly.ObservePod(pod).labels()
		for name, value := range pod.Labels {
			if !of.Has(name) || of.Get(name) != value {
				t.Fatalf("of %d labels %s is %q, want %q", n, name, of.Get(name), value)
			}
		}
		if of.Has("no such") {
			t.Error("a label that is not there is found")
		}
	}
}

// What a pod's event costs, whatever created the pod.
func BenchmarkHostilePodEvent(b *testing.B) {
	for _, kind := range large.Kinds() {
		pod := large.Pod(kind)
		orphan := pod.DeepCopy()
		orphan.OwnerReferences = nil
		for name, pod := range map[string]*corev1.Pod{"owned": pod, "orphan": orphan} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				s, _ := deaf(b, 50, 10)
				for b.Loop() {
					s.observePod(everynodeOnly.ObservePod(pod))
				}
			})
		}
	}
}

// What a node's event costs, the templates of 10 daemons as large as are served. The state is locked for
// less.
func BenchmarkHostileNodeEvent(b *testing.B) {
	for _, kind := range large.Kinds() {
		b.Run(kind, func(b *testing.B) {
			s, _ := deaf(b, 0, 10)
			for d := range 10 {
				set := makeDaemon(fmt.Sprintf("d%d", d))
				set.Spec.Template = *large.TemplateOf(kind, daemon.MaxRequirements/5)
				set.Spec.Template.Labels["app"] = set.Name
				if err := s.seeRecorded(set); err != nil {
					b.Fatal(err)
				}
			}
			node := makeNode("n1")
			for b.Loop() {
				s.seeNode(node)
			}
		})
	}
}
