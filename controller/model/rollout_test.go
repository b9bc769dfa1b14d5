package model

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// rolling is a daemon whose pods have image:1 on all nodes, and whose template is another one.
type rolling struct {
	*state
	t      *testing.T
	set    *v1alpha1.DaemonSet
	queues *fixture.Queues
}

func newRolling(t *testing.T, nodes int, rollout v1alpha1.Rollout) *rolling {
	s, q, _ := newTestState()
	r := &rolling{state: s, t: t, queues: q, set: makeDaemon("d", fixture.OneUnavailable)}
	r.set.Spec.Rollout = &rollout
	for i := range nodes {
		s.seeNode(makeNode(fmt.Sprintf("n%d", i)))
	}
	r.sees()
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		s.seePod(makePod(r.set, makeNode(name), bound(name), ready(t0)))
	}
	record := fixture.Record(r.set)
	metav1.SetMetaDataAnnotation(&record.ObjectMeta, v1alpha1.StableAnnotation, "1")
	r.seeRevision(record)
	return r
}

// edits changes the daemon.
func (r *rolling) edits(change ...func(*v1alpha1.DaemonSet)) {
	r.set = r.set.DeepCopy()
	r.set.Generation++
	for _, c := range change {
		c(r.set)
	}
	r.sees()
}

func (r *rolling) sees() {
	r.t.Helper()
	if err := r.seeRecorded(r.set); err != nil {
		r.t.Fatal(err)
	}
}

// targets returns the targets of nodes as images.
func (r *rolling) targets() (targets []string) {
	known := r.daemons[keyOf(r.set)]
	for _, node := range known.cells.NodesAfter("", 100) {
		image := known.templates[known.cells.TargetOf(node)].template.Pod.Spec.Containers[0].Image
		targets = append(targets, node+" "+image)
	}
	slices.Sort(targets)
	return targets
}

func half(set *v1alpha1.DaemonSet) { of := intstr.FromString("50%"); set.Spec.Rollout.Partition = &of }

// Nodes are admitted with the verdict by the template that they are admitted to, and no more than the partition leaves; a node that
// joins is held back.
func TestNodesAreAdmitted(t *testing.T) {
	r := newRolling(t, 4, v1alpha1.Rollout{})
	r.edits(half, image("image:2"))
	wantStrings(t, "targets", []string{"n0 image:2", "n1 image:2", "n2 image:1", "n3 image:1"}, r.targets())
	r.seeNode(makeNode("n4"))
	if got := r.task(keyOf(r.set).On("n4")); len(got.Actions) != 1 || got.Template.Pod.Spec.Containers[0].Image != "image:1" {
		t.Errorf("a node that joins gets %v", got)
	}
	// n0 and n1 are not eligible by the new template, so that others are admitted in their place. None of them is, either.
	r.edits(image("image:3"), onlyWhere("disk", "ssd"))
	wantStrings(t, "targets", []string{"n0 image:3", "n1 image:3", "n2 image:3", "n3 image:3", "n4 image:1"}, r.targets())
	for _, node := range []string{"n0", "n3"} {
		if got := r.task(keyOf(r.set).On(node)).Actions; len(got) != 1 || got[0].Op != daemon.Delete || got[0].Reason == daemon.ReasonOutdated {
			t.Errorf("%s is planned by the former template's verdict: %v", node, got)
		}
	}
	if wrong := r.audit(keyOf(r.set)); len(wrong) > 0 {
		t.Errorf("the audit finds %q", wrong)
	}
}

// The annotation pauses a rollout, without a new generation of the spec, and its removal resumes it.
func TestAnnotationPauses(t *testing.T) {
	r := newRolling(t, 2, v1alpha1.Rollout{})
	mark := func(value string) {
		r.set = r.set.DeepCopy()
		metav1.SetMetaDataAnnotation(&r.set.ObjectMeta, v1alpha1.PausedAnnotation, value)
		r.sees()
	}
	mark("true")
	r.edits(image("image:2"))
	wantStrings(t, "targets while paused", []string{"n0 image:1", "n1 image:1"}, r.targets())
	r.queues.Cells = nil
	mark("false")
	wantStrings(t, "targets", []string{"n0 image:2", "n1 image:2"}, r.targets())
	if got := r.task(keyOf(r.set).On("n0")).Actions; len(got) != 1 || got[0].Op != daemon.Delete {
		t.Errorf("once resumed, %v is planned for n0", got)
	}
}

// A label that the rollout reads changes a node's target, and has the node judged by the template that this target is.
func TestLabelsAdmit(t *testing.T) {
	r := newRolling(t, 1, v1alpha1.Rollout{NodeSelector: &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"canary": "true"}}})
	r.edits(image("image:2"), onlyWhere("disk", "ssd"))
	wantStrings(t, "targets", []string{"n0 image:1"}, r.targets())
	if got := r.task(keyOf(r.set).On("n0")).Actions; len(got) > 0 {
		t.Errorf("%v is planned for a node that is held back", got)
	}
	r.seeNode(makeNode("n0", labelled("canary", "true")))
	wantStrings(t, "targets", []string{"n0 image:2"}, r.targets())
	if got := r.task(keyOf(r.set).On("n0")).Actions; len(got) != 1 || got[0].Op != daemon.Delete {
		t.Errorf("%v is planned, want a delete: the new template excludes the node", got)
	}
}

// A pod of the update revision on a node that is held back, as another process may have created, makes it an updated one.
func TestUpdatedNodesAreNotRolledBack(t *testing.T) {
	r := newRolling(t, 1, v1alpha1.Rollout{Paused: true})
	r.edits(image("image:2"))
	former := r.set.DeepCopy()
	image("image:1")(former)
	r.forgetPod(makePod(former, makeNode("n0"), bound("n0"), ready(t0)))
	wantStrings(t, "targets", []string{"n0 image:1"}, r.targets())
	r.seePod(makePod(r.set, makeNode("n0"), bound("n0"), podUID("another")))
	wantStrings(t, "targets", []string{"n0 image:2"}, r.targets())
}

// A rollout that the schema refuses, stored nevertheless, is not served.
func TestInvalidRolloutIsNotServed(t *testing.T) {
	s, _, _ := newTestState()
	set := makeDaemon("d")
	set.Spec.Rollout = &v1alpha1.Rollout{NewNodes: "Sometimes"}
	if err := s.seeDaemon(set, nil); err == nil {
		t.Error("it is served")
	}
	if _, problem := s.unserved(keyOf(set)); problem.Reason != v1alpha1.ReasonInvalidRollout {
		t.Errorf("the problem is %+v", problem)
	}
}

// The stable revision is wanted as such once: when the last node has an available pod of the update revision.
func TestStableIsEnqueuedOnce(t *testing.T) {
	r := newRolling(t, 2, v1alpha1.Rollout{})
	r.edits(image("image:2"))
	former := r.set.DeepCopy()
	image("image:1")(former)
	for i := range 2 {
		name := fmt.Sprintf("n%d", i)
		if subject, _ := r.subject(keyOf(r.set)); subject.Stable != "" {
			t.Errorf("%s is stable before %s has it", subject.Stable, name)
		}
		r.forgetPod(makePod(former, makeNode(name), bound(name), ready(t0)))
		r.seePod(makePod(r.set, makeNode(name), bound(name), ready(t0), podUID(types.UID("new-"+name))))
	}
	if subject, _ := r.subject(keyOf(r.set)); subject.Stable == "" {
		t.Error("nothing is stable at the end")
	}
	r.queues.Histories = nil
	r.seePod(makePod(r.set, makeNode("n1"), bound("n1"), ready(t0), podUID("new-n1"), func(pod *corev1.Pod) { pod.ResourceVersion = "9" }))
	if len(r.queues.Histories) > 0 {
		t.Errorf("history is enqueued again: %v", r.queues.Histories)
	}
}
