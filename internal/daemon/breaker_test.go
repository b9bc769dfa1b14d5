package daemon

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// onTrial is a rollout from r1 to r2 on ten nodes, n0 to n9. Each test says what is seen of their pods.
type onTrial struct {
	t       *testing.T
	cells   Cells
	now     time.Time
	rollout v1alpha1.Rollout
	state   RolloutState
	facts   map[string]*NodeFacts
	pods    map[string]*Pod
	made    int
}

func newTrial(t *testing.T, change func(*v1alpha1.Rollout)) *onTrial {
	o := &onTrial{t: t, now: t0, facts: map[string]*NodeFacts{}, pods: map[string]*Pod{}}
	change(&o.rollout)
	o.cells.Facts = func(node string) *NodeFacts { return o.facts[node] }
	o.state = RolloutState{Update: "r2", Stable: "r1"}
	o.edit(func(*v1alpha1.Rollout) {})
	for i := range 10 {
		node := fmt.Sprintf("n%d", i)
		o.node(node, corev1.ConditionTrue)
		o.cells.SetNode(node, types.UID(node), eligible, o.now)
		o.pod(node, "r1")
		o.ready(node)
	}
	o.wait(time.Hour)
	return o
}

func (o *onTrial) edit(change func(*v1alpha1.Rollout)) {
	change(&o.rollout)
	hold, err := NewHold(&o.rollout)
	if err != nil {
		o.t.Fatal(err)
	}
	o.state.Hold = hold
	o.renew()
}

func (o *onTrial) renew() {
	o.cells.Renew(o.state, 0, unavailable("5"))
	o.cells.Recount(o.cells.Nodes(), o.now)
}

// wait lets time pass. Cells that asked for it are planned.
func (o *onTrial) wait(how time.Duration) {
	for end := o.now.Add(how); o.now.Before(end); {
		o.now = latest(o.now.Add(time.Second), o.now.Add(how/100))
		for node := range o.pods {
			o.cells.Plan(node, o.now)
		}
	}
}

func (o *onTrial) node(node string, ready corev1.ConditionStatus) {
	o.facts[node] = &NodeFacts{Name: node, UID: types.UID(node), Ready: ready, ReadySince: o.now}
	o.cells.Retarget(node, o.now)
}

// pod replaces the pod of a node by one that is bound at once.
func (o *onTrial) pod(node, revision string) {
	if old := o.pods[node]; old != nil {
		o.cells.RemovePod(node, old.UID, o.now)
	}
	o.made++
	o.pods[node] = &Pod{Name: fmt.Sprint(o.made), UID: types.UID(fmt.Sprint(o.made)), Revision: revision, NodeUID: types.UID(node), Created: o.now, Bound: true}
	o.see(node, func(*Pod) {})
}

func (o *onTrial) see(node string, change func(*Pod)) {
	pod := *o.pods[node]
	change(&pod)
	o.pods[node] = &pod
	o.cells.SetPod(node, &pod, o.now)
}

func (o *onTrial) ready(node string) {
	o.see(node, func(pod *Pod) { pod.Ready, pod.ReadySince = true, o.now })
}

func (o *onTrial) unready(node string) { o.see(node, func(pod *Pod) { pod.Ready = false }) }

func (o *onTrial) shows(node string, change func(*corev1.PodStatus)) {
	o.see(node, func(pod *Pod) {
		object := shows(change)
		object.CreationTimestamp.Time, object.Status.StartTime.Time = pod.Created, pod.Created.Add(time.Second)
		object.Status.Conditions[0].LastTransitionTime.Time = pod.Created
		pod.Signs = ObserveSigns(object)
	})
}

// crashes has a container restart so often until now.
func (o *onTrial) crashes(node string, times int32) {
	o.shows(node, restarted("app", times, o.now.Sub(t0)))
}

var missingImage = waiting("ErrImagePull", "manifest unknown")

// What is seen, and the verdict.
func TestVerdicts(t *testing.T) {
	nothing := func(*v1alpha1.Rollout) {}
	strict := func(spec *v1alpha1.Rollout) {
		spec.Failure = &v1alpha1.RolloutFailure{}
		three := intstr.FromInt32(3)
		spec.Failure.MaxFailedNodes = &three
	}
	tests := map[string]struct {
		rollout func(*v1alpha1.Rollout)
		play    func(*onTrial)
		want    Cause
		stops   bool // no further node is updated although there is no verdict
	}{
		"the update is available":     {play: func(o *onTrial) { o.pod("n0", "r2"); o.ready("n0"); o.wait(time.Hour) }},
		"a container restarts thrice": {play: func(o *onTrial) { o.pod("n0", "r2"); o.wait(time.Minute); o.crashes("n0", 3) }, want: CauseRestarts},
		"between two restarts it is ready": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.wait(time.Minute)
			o.ready("n0")
			o.crashes("n0", 3)
		}, want: CauseRestarts},
		"a container restarts twice": {play: func(o *onTrial) { o.pod("n0", "r2"); o.wait(time.Minute); o.crashes("n0", 2); o.ready("n0") }},
		"restarts of the stable pod": {play: func(o *onTrial) { o.pod("n0", "r2"); o.ready("n0"); o.crashes("n1", 30) }},
		"restarts of an old pod":     {play: func(o *onTrial) { o.crashes("n0", 30); o.pod("n0", "r2"); o.ready("n0") }},
		"restarts that are no reason": {rollout: func(spec *v1alpha1.Rollout) { spec.Failure = &v1alpha1.RolloutFailure{Restarts: new(int32)} }, play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.wait(time.Minute)
			o.crashes("n0", 9)
			o.ready("n0")
			o.wait(time.Hour)
		}},
		"a ConfigMap is missing": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", waiting("CreateContainerConfigError", ""))
			o.wait(time.Minute)
		}, want: CauseStart},
		"a ConfigMap comes late": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", waiting("CreateContainerConfigError", ""))
			o.wait(10 * time.Second)
			o.shows("n0", func(*corev1.PodStatus) {})
			o.ready("n0")
			o.wait(time.Minute)
		}},
		"an image's name is invalid": {play: func(o *onTrial) { o.pod("n0", "r2"); o.shows("n0", waiting("InvalidImageName", "")) }, want: CauseStart},
		"an image is missing":        {play: func(o *onTrial) { o.pod("n0", "r2"); o.shows("n0", missingImage); o.wait(3 * time.Minute) }, want: CauseImage},
		"an image is missing, between back-offs": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			for range 5 {
				o.shows("n0", missingImage)
				o.wait(20 * time.Second)
				o.shows("n0", waiting("ImagePullBackOff", `Back-off pulling image "x"`))
				o.wait(20 * time.Second)
			}
		}, want: CauseImage},
		"an image comes late": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", missingImage)
			o.wait(time.Minute)
			o.shows("n0", func(*corev1.PodStatus) {})
			o.ready("n0")
			o.wait(time.Hour)
		}},
		"the registry is down": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", waiting("ErrImagePull", "dial tcp: i/o timeout"))
			o.wait(time.Hour)
		}, stops: true},
		"the registry was down": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", waiting("ErrImagePull", "dial tcp: i/o timeout"))
			o.wait(5 * time.Minute)
			o.shows("n0", func(*corev1.PodStatus) {})
			o.ready("n0")
		}},
		"not available in time":    {play: func(o *onTrial) { o.pod("n0", "r2"); o.wait(11 * time.Minute) }, want: CauseDeadline},
		"not yet available":        {play: func(o *onTrial) { o.pod("n0", "r2"); o.wait(9 * time.Minute) }},
		"available, and not later": {play: func(o *onTrial) { o.pod("n0", "r2"); o.ready("n0"); o.unready("n0"); o.wait(time.Hour) }},
		"was ready before the controller started": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", notReadySince(2*time.Hour))
			o.wait(time.Hour)
		}},
		"not scheduled": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.see("n0", func(pod *Pod) { pod.Bound = false })
			o.wait(time.Hour)
		}},
		"evicted": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", func(status *corev1.PodStatus) {
				status.Conditions = append(status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
			})
			o.wait(time.Hour)
		}},
		"terminating": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.see("n0", func(pod *Pod) { pod.Terminating = true })
			o.wait(time.Hour)
		}},
		"of a former node": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.see("n0", func(pod *Pod) { pod.NodeUID = "former" })
			o.wait(time.Hour)
		}},
		"the node dies of it": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.ready("n0")
			o.wait(time.Minute)
			o.node("n0", corev1.ConditionUnknown)
		}, want: CauseNode},
		"the node dies later": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.ready("n0")
			o.wait(time.Hour)
			o.node("n0", corev1.ConditionUnknown)
		}},
		"the node was dead": {play: func(o *onTrial) { o.node("n0", corev1.ConditionUnknown); o.pod("n0", "r2"); o.wait(time.Hour) }},
		"the node is cordoned": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.ready("n0")
			o.node("n0", corev1.ConditionFalse)
			o.facts["n0"].Unschedulable = true
			o.wait(time.Minute)
		}},
		"nodes of old pods die": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.ready("n0")
			o.node("n1", corev1.ConditionFalse)
			o.node("n2", corev1.ConditionFalse)
			o.wait(time.Hour)
		}},
		"everything restarts": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.pod("n1", "r2")
			for i := 1; i < 10; i++ {
				o.wait(time.Second)
				o.crashes(fmt.Sprintf("n%d", i), 1)
				o.crashes(fmt.Sprintf("n%d", i), 2)
				o.crashes(fmt.Sprintf("n%d", i), 3)
			}
			o.ready("n0")
		}},
		"the registry forgets images of both": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.shows("n0", missingImage)
			for i := 1; i < 10; i++ {
				o.pod(fmt.Sprintf("n%d", i), "r1")
				o.shows(fmt.Sprintf("n%d", i), missingImage)
			}
			o.wait(time.Hour)
		}},
		"few stable pods fail too": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.wait(time.Minute)
			for _, node := range []string{"n0", "n1", "n2"} {
				o.crashes(node, 3)
			}
		}, want: CauseRestarts},
		"too few nodes": {rollout: strict, play: func(o *onTrial) {
			for _, node := range []string{"n0", "n1"} {
				o.pod(node, "r2")
				o.crashes(node, 3)
			}
		}},
		"enough nodes, of several causes": {rollout: strict, play: func(o *onTrial) {
			for _, node := range []string{"n0", "n1", "n2"} {
				o.pod(node, "r2")
			}
			o.wait(time.Minute)
			o.crashes("n0", 3)
			o.crashes("n1", 3)
			o.shows("n2", waiting("InvalidImageName", ""))
		}, want: CauseRestarts},
		"nodes recover in between": {rollout: strict, play: func(o *onTrial) {
			for _, node := range []string{"n0", "n1", "n2"} {
				o.pod(node, "r2")
				o.crashes(node, 3)
				o.ready(node)
				o.wait(20 * time.Minute)
			}
		}},
		"one of many, once as many as maxUnavailable are available": {play: func(o *onTrial) {
			for i := range 6 {
				o.pod(fmt.Sprintf("n%d", i), "r2")
				o.ready(fmt.Sprintf("n%d", i))
			}
			o.wait(time.Minute)
			o.crashes("n5", 3)
			o.unready("n5")
		}},
		"it failed on another pod before": {play: func(o *onTrial) { o.pod("n0", "r2"); o.crashes("n0", 3); o.pod("n0", "r2"); o.ready("n0") }},
		"its stable pod was not available": {play: func(o *onTrial) {
			o.unready("n0")
			o.wait(time.Minute)
			o.cells.Grant(o.now)
			o.cells.Deleted("n0", o.pods["n0"].UID, o.now)
			o.pod("n0", "r2")
			o.wait(time.Hour)
		}},
		"complete": {play: func(o *onTrial) {
			o.state.Stable = "r2"
			o.renew()
			o.pod("n0", "r2")
			o.crashes("n0", 30)
			o.wait(time.Hour)
		}},
		"failed already": {play: func(o *onTrial) {
			o.state.Failed = true
			o.renew()
			o.pod("n0", "r2")
			o.crashes("n0", 30)
			o.wait(time.Hour)
		}},
		"before a retry": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.wait(time.Minute)
			o.crashes("n0", 3)
			o.state.Since = o.now.Add(time.Second)
			o.renew()
			o.ready("n0")
			o.wait(time.Minute)
		}},
		"again after a retry": {play: func(o *onTrial) {
			o.pod("n0", "r2")
			o.wait(time.Hour)
			o.state.Since = o.now
			o.renew()
			if o.cells.Fails() {
				o.t.Error("it fails at once after the retry")
			}
			o.wait(11 * time.Minute)
		}, want: CauseDeadline},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.rollout == nil {
				test.rollout = nothing
			}
			o := newTrial(t, test.rollout)
			test.play(o)
			got := CauseNone
			if of := o.cells.Evidence(); of != nil {
				got = of.Cause
				t.Logf("%s; nodes %v", of.Message, of.Nodes)
			}
			if got != test.want {
				t.Errorf("the verdict is %q, want %q", got, test.want)
			}
			if stops := o.cells.Tripped(); stops != (test.want != CauseNone || test.stops) {
				t.Errorf("the rollout stops: %v", stops)
			}
			if wrong := o.cells.Audit(o.now); len(wrong) > 0 {
				t.Errorf("the audit finds %q", wrong)
			}
		})
	}
}

// Random events: a verdict has evidence on a node that has the update revision, and the sums are those of all cells.
func TestNoVerdictWithoutEvidence(t *testing.T) {
	verdicts := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		o := newTrial(t, func(spec *v1alpha1.Rollout) {
			n := intstr.FromInt32(1 + int32(random.IntN(3)))
			spec.Failure = &v1alpha1.RolloutFailure{MaxFailedNodes: &n}
		})
		for range 60 {
			node := fmt.Sprintf("n%d", random.IntN(10))
			switch random.IntN(9) {
			case 0:
				o.pod(node, []string{"r1", "r2"}[random.IntN(2)])
			case 1:
				o.crashes(node, int32(random.IntN(5)))
			case 2:
				o.ready(node)
			case 3:
				o.unready(node)
			case 4:
				o.node(node, []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown}[random.IntN(3)])
			case 5:
				o.shows(node, missingImage)
			case 6:
				o.shows(node, waiting("CreateContainerError", ""))
			case 7:
				o.see(node, func(pod *Pod) { pod.Terminating = true })
			default:
				o.wait(time.Duration(random.IntN(300)) * time.Second)
			}
			o.checkSums()
			of := o.cells.Evidence()
			if of == nil {
				continue
			}
			verdicts++
			for _, node := range of.Nodes {
				if pod := o.pods[node]; pod.Revision != "r2" || pod.Terminating || !pod.Bound {
					t.Fatalf("seed %d: a verdict by %s on %s, whose pod is %+v", seed, of.Cause, node, pod)
				}
			}
		}
	}
	if verdicts == 0 {
		t.Error("there is no verdict at all")
	}
}

// checkSums compares the sums that are kept by deltas with those of all cells.
func (o *onTrial) checkSums() {
	o.t.Helper()
	b := o.cells.breaker
	var want breakerSums
	failed := map[Cause][]string{}
	for node, of := range b.trials {
		switch {
		case of.updated && of.cause != CauseNone:
			failed[of.cause] = append(failed[of.cause], node)
		case !of.updated && of.cause != CauseNone:
			if i := slices.Index(verdictCauses[:], of.cause); i >= 0 {
				want.unwell[i]++
			}
		}
		if of.updated {
			want.updated++
		} else {
			want.stable++
		}
		if of.passed {
			want.passed++
		}
	}
	if b.sums != want {
		o.t.Fatalf("the sums are %+v, want %+v", b.sums, want)
	}
	for cause, nodes := range b.failed {
		if nodes.Len() != len(failed[cause]) {
			o.t.Fatalf("%d nodes failed by %s, want %v", nodes.Len(), cause, failed[cause])
		}
	}
}
