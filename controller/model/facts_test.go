package model

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// readyOnly gives the update revision to nodes that are ready.
type readyOnly struct{ others string }

func (r readyOnly) Target(update string, node *daemon.NodeFacts) string {
	if node.Ready == corev1.ConditionTrue {
		return update
	}
	return r.others
}

func (readyOnly) Reads() daemon.Reads { return daemon.Reads{Readiness: true} }

// A fact that changes wakes the daemons alone whose policy reads it, and has the node judged by the rules of the new
// target.
func TestFactsWakeWhoReadsThem(t *testing.T) {
	former := NodeReads
	NodeReads = daemon.Reads{Readiness: true}
	t.Cleanup(func() { NodeReads = former })
	s, q, _ := newTestState()
	node := func(status corev1.ConditionStatus) *corev1.Node {
		return makeNode("n1", func(node *corev1.Node) {
			node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.NewTime(t0)}}
		})
	}
	s.seeNode(node(corev1.ConditionFalse))
	nowhere := func(set *v1alpha1.DaemonSet) { onlyWhere("disk", "ssd")(set) }
	reads, other := makeDaemon("reads"), makeDaemon("other")
	see(t, s, reads)
	see(t, s, other)
	first := s.daemons[keyOf(reads)].update
	see(t, s, makeDaemon("reads", generation(2), nowhere))
	known := s.daemons[keyOf(reads)]
	rules := daemon.NewRules(&reads.Spec.Template)
	s.update(func(u Update) {
		u.keep(keyOf(reads), known, &rendered{template: daemon.NewTemplate(workloadOf(reads), first), templateRules: rules, rules: rules})
	})
	known.renew(daemon.RolloutState{Update: known.update, Policy: readyOnly{first}})
	s.run(&judgeNodes{known: known})
	wantStrings(t, "while the node is not ready", []string{"Create : Missing"}, fixture.Steps(s.task(keyOf(reads).On("n1")).Plan))

	q.Drain()
	s.run(&SeeNode{Before: node(corev1.ConditionFalse), Node: node(corev1.ConditionFalse)})
	if plans, _ := q.Drain(); len(plans) > 0 {
		t.Errorf("the same facts have %v planned", plans)
	}
	s.run(&SeeNode{Before: node(corev1.ConditionFalse), Node: node(corev1.ConditionTrue)})
	plans, _ := q.Drain()
	wantStrings(t, "planned", []string{"uid-reads on n1"}, plans)
	wantStrings(t, "on a ready node, which the update's selector excludes", nil, fixture.Steps(s.task(keyOf(reads).On("n1")).Plan))
	s.forgetNode("n1")
	if len(s.facts) > 0 {
		t.Error("the facts of a node that is gone are kept")
	}
}
