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
func TestWorldKeepsPodsOfWhatCannotBeServed(t *testing.T) {
	for name, spoil := range map[string]func(*world) error{
		"its spec cannot be decoded": func(w *world) error {
			return w.daemonSeen(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) { set.Spec = v1alpha1.DaemonSetSpec{} }), errUndecodable)
		},
		"its selector is invalid": func(w *world) error { return w.seen(makeDaemon("d", generation(2), badSelector)) },
		"a quantity takes seconds to compute with": func(w *world) error {
			return w.seen(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1e30000000")}
			}))
		},
		"its template is too large": func(w *world) error {
			return w.seen(makeDaemon("d", generation(2), func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.Tolerations = make([]corev1.Toleration, daemon.MaxRequirements+1)
			}))
		},
	} {
		for when, before := range map[string]bool{"served before": true, "after a restart": false} {
			t.Run(name+", "+when, func(t *testing.T) {
				w, _, _ := newTestWorld()
				set, here, there := makeDaemon("d"), makeNode("n1"), makeNode("n2")
				pod := makePod(set, here, ready(t0))
				if before {
					see(t, w, set)
				}
				w.nodeSeen(here)
				w.podSeen(pod)
				if err := spoil(w); err == nil {
					t.Fatal("no error")
				}
				if err := spoil(w); err != nil {
					t.Errorf("an error that is no news: %v", err)
				}
				// Whatever happens, nothing is planned.
				w.nodeSeen(there)
				w.nodeSeen(makeNode("n1", labelled("a", "b")))
				orphan := makePod(set, there, podUID("orphan"), orphaned)
				w.podSeen(orphan)
				w.podSeen(makePod(set, here, terminating))
				w.podSeen(pod)
				w.recordsChanged(keyOf(set))
				for _, node := range []string{"n1", "n2"} {
					wantSteps(t, w, keyOf(set).On(node))
					wantStrings(t, "claims", nil, claimsOf(w, set, node))
				}
				if wrong := w.audit(keyOf(set)); len(wrong) > 0 {
					t.Errorf("drift: %v", wrong)
				}
				if object, problem := w.unserved(keyOf(set)); object == nil || problem.Reason == "" {
					t.Errorf("unserved = %v, %v", object, problem)
				}
				if object, _ := w.health(keyOf(set)); object != nil {
					t.Error("it has numbers")
				}

				see(t, w, makeDaemon("d", generation(3)))
				if object, _ := w.unserved(keyOf(set)); object != nil {
					t.Error("it is not served once it is corrected")
				}
				wantSteps(t, w, keyOf(set).On("n1"))
				wantSteps(t, w, keyOf(set).On("n2"), createStep)
				wantStrings(t, "claims", []string{"adopt orphan"}, claimsOf(w, set, "n2"))
				w.daemonGone(keyOf(set))
				w.podGone(pod)
				w.podGone(orphan)
				w.nodeGone("n1")
				w.nodeGone("n2")
				if len(w.daemons)+len(w.pods) != 0 {
					t.Errorf("remembered: %v, %v", w.daemons, w.pods)
				}
			})
		}
	}
}
