package model

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// A node that is no longer Ready has its cell planned, which says when the node will be dead. A heartbeat does nothing, and neither does
// anything of it to a daemon without a rollout, or one that counts dead nodes.
func TestWhoseNodesDie(t *testing.T) {
	node := func(status corev1.ConditionStatus, heartbeat time.Duration) *corev1.Node {
		return makeNode("n1", func(node *corev1.Node) {
			node.Status.Conditions = []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: status, LastTransitionTime: metav1.NewTime(t0), LastHeartbeatTime: metav1.NewTime(t0.Add(heartbeat)),
			}}
		})
	}
	tests := map[string]struct {
		rollout *v1alpha1.Rollout
		want    []string
	}{
		"a rollout":             {&v1alpha1.Rollout{}, []string{"uid-d on n1"}},
		"dead nodes count":      {&v1alpha1.Rollout{DeadNodes: &v1alpha1.DeadNodes{Policy: v1alpha1.DeadNodesCount}}, nil},
		"no rollout":            {nil, nil},
		"another afterSeconds":  {&v1alpha1.Rollout{DeadNodes: &v1alpha1.DeadNodes{AfterSeconds: 10}}, []string{"uid-d on n1"}},
		"a rollout with labels": {&v1alpha1.Rollout{Order: []string{"zone"}}, []string{"uid-d on n1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, q, _ := newTestState()
			set := makeDaemon("d")
			set.Spec.Rollout = test.rollout
			s.seeNode(node(corev1.ConditionTrue, 0))
			if err := s.seeRecorded(set); err != nil {
				t.Fatal(err)
			}
			s.seePod(makePod(set, makeNode("n1"), bound("n1"), ready(t0)))
			q.Drain()
			s.run(&SeeNode{Before: node(corev1.ConditionTrue, 0), Node: node(corev1.ConditionTrue, time.Minute)})
			if plans, _ := q.Drain(); len(plans) > 0 {
				t.Errorf("a heartbeat has %v planned", plans)
			}
			s.run(&SeeNode{Before: node(corev1.ConditionTrue, 0), Node: node(corev1.ConditionUnknown, 0)})
			plans, _ := q.Drain()
			wantStrings(t, "planned", test.want, plans)
			wake := time.Time{}
			if test.want != nil {
				wake = t0.Add(time.Minute)
				if test.rollout.DeadNodes != nil {
					wake = t0.Add(10 * time.Second)
				}
			}
			if plan := s.task(keyOf(set).On("n1")).Plan; !plan.WakeAt.Equal(wake) {
				t.Errorf("it wakes at %s, want %s", plan.WakeAt, wake)
			}
			s.run(&SeeNode{Before: node(corev1.ConditionUnknown, 0), Node: node(corev1.ConditionTrue, 0)})
			plans, _ = q.Drain()
			wantStrings(t, "planned when it is back", test.want, plans)
		})
	}
}
