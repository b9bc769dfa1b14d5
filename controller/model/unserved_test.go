package model

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// badSelector is what no selector can be; it is let in where nothing validates.
func badSelector(set *v1alpha1.DaemonSet) {
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "x"}}
}

var errUndecodable = errors.New("spec.template: it cannot be read")

// A daemon that cannot be served keeps its pods, as they are, and none is made; once it is corrected it
// is served as before.
func TestModelKeepsPodsOfWhatCannotBeServed(t *testing.T) {
	for name, spoil := range map[string]func(*state) error{
		"its spec cannot be decoded": func(s *state) error {
			return s.seeDaemon(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) { set.Spec = v1alpha1.DaemonSetSpec{} }), errUndecodable)
		},
		"its selector is invalid": func(s *state) error { return s.seeRecorded(makeDaemon("d", generation(2), badSelector)) },
		"a quantity takes seconds to compute with": func(s *state) error {
			return s.seeRecorded(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1e30000000")}
			}))
		},
		"its template is too large": func(s *state) error {
			return s.seeRecorded(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.Tolerations = make([]corev1.Toleration, daemon.MaxRequirements+1)
			}))
		},
	} {
		for when, before := range map[string]bool{"served before": true, "after a restart": false} {
			t.Run(name+", "+when, func(t *testing.T) {
				s, _, _ := newTestState()
				set, here, there := makeDaemon("d"), makeNode("n1"), makeNode("n2")
				pod := makePod(set, here, ready(t0))
				if before {
					see(t, s, set)
				}
				s.seeNode(here)
				s.seePod(pod)
				if err := spoil(s); err == nil {
					t.Fatal("no error")
				}
				if err := spoil(s); err != nil {
					t.Errorf("an error that is no news: %v", err)
				}
				// Whatever happens, nothing is planned.
				s.seeNode(there)
				s.seeNode(makeNode("n1", labelled("a", "b")))
				orphan := makePod(set, there, podUID("orphan"), orphaned)
				s.seePod(orphan)
				s.seePod(makePod(set, here, terminating))
				s.seePod(pod)
				s.recordsChanged(keyOf(set))
				for _, node := range []string{"n1", "n2"} {
					wantSteps(t, s, keyOf(set).On(node))
					wantStrings(t, "claims", nil, claimsOf(s, set, node))
				}
				if wrong := s.audit(keyOf(set)); len(wrong) > 0 {
					t.Errorf("drift: %v", wrong)
				}
				if object, problem := s.unserved(keyOf(set)); object == nil || problem.Reason == "" {
					t.Errorf("unserved = %v, %v", object, problem)
				}
				if object, _ := s.health(keyOf(set)); object != nil {
					t.Error("it has numbers")
				}

				see(t, s, makeDaemon("d", generation(3)))
				if object, _ := s.unserved(keyOf(set)); object != nil {
					t.Error("it is not served once it is corrected")
				}
				wantSteps(t, s, keyOf(set).On("n1"))
				wantSteps(t, s, keyOf(set).On("n2"), createStep)
				wantStrings(t, "claims", []string{"adopt orphan"}, claimsOf(s, set, "n2"))
				s.forgetDaemon(keyOf(set))
				s.forgetPod(pod)
				s.forgetPod(orphan)
				s.forgetNode("n1")
				s.forgetNode("n2")
				if len(s.daemons)+len(s.pods) != 0 {
					t.Errorf("remembered: %v, %v", s.daemons, s.pods)
				}
			})
		}
	}
}
