package checker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Pods and nodes come by different watches. A node seems to be blocked to a sender that knows of its new label, and not yet
// that its pod was bound before; not to one that knows both.
func TestNodeThatSeemsToBeBlocked(t *testing.T) {
	relabelled := func(knowsAll bool) func(s *script) {
		return func(s *script) {
			set, _, pods := s.fleet()
			colored := func(color string) func(*corev1.Node) {
				return func(node *corev1.Node) { node.Labels = map[string]string{"color": color} }
			}
			node := s.node("n4", colored("blue"))
			sent := s.emitted(set, node, "new-n4")
			as := placed(sent)
			as.Spec.NodeSelector = map[string]string{"color": "blue"}
			stored := s.send(sent, as)
			s.wait(time.Minute)
			s.knowing()
			s.bind(stored, "n4")
			s.nodeChanges(node, colored("red"))
			if knowsAll {
				s.knowing()
			}
			s.drop(pods[0])
		}
	}
	play(t, S4, map[string]scene{
		"the binding is not known yet": {play: relabelled(false)},
		"both are known":               {breaks: S4, play: relabelled(true)},
	})
}

// A pod that was available until minReadySeconds was raised counts as available to a sender that does not know of that.
func TestRaisedMinReadySeconds(t *testing.T) {
	raised := func(knows bool) func(s *script) {
		return func(s *script) {
			set, nodes, pods := s.fleet()
			s.knowing().drop(pods[0])
			s.remove(pods[0])
			s.run(set, nodes[0], "new-n1")
			s.knowing()
			s.edit(set, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 30 })
			if knows {
				s.knowing()
			}
			s.drop(pods[1])
		}
	}
	play(t, S4, map[string]scene{
		"the sender does not know": {play: raised(false)},
		"the sender knows":         {breaks: S4, play: raised(true)},
	})
}
