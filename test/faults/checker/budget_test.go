package checker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// fleet is a daemon with an available pod on each of three nodes, whose template changes.
func (s *script) fleet(change ...func(*v1alpha1.DaemonSet)) (*v1alpha1.DaemonSet, []*corev1.Node, []*corev1.Pod) {
	set, nodes := s.daemon("d", change...), s.nodes(3)
	var pods []*corev1.Pod
	for _, node := range nodes {
		pods = append(pods, s.run(set, node, "old-"+node.Name))
	}
	s.edit(set, image("image:2"))
	s.wait(time.Minute)
	return set, nodes, pods
}

// Deletes of available pods are limited, in every state of the cluster.
func TestBudgetOfDeletes(t *testing.T) {
	play(t, S4, map[string]scene{
		"one after the other": {play: func(s *script) {
			set, nodes, pods := s.fleet()
			for i, pod := range pods {
				s.knowing().drop(pod)
				s.remove(pod)
				s.run(set, nodes[i], "new-"+nodes[i].Name)
			}
		}},
		"two at once": {breaks: S4, play: func(s *script) {
			_, _, pods := s.fleet()
			s.drop(pods[0])
			s.drop(pods[1])
		}},
		"the second before the successor of the first is available": {breaks: S4, play: func(s *script) {
			set, nodes, pods := s.fleet()
			s.drop(pods[0])
			s.remove(pods[0])
			s.bind(s.create(set, nodes[0], "new-n1"), "n1")
			s.knowing().drop(pods[1])
		}},
		"the second before the successor of the first was ready for long enough": {breaks: S4, play: func(s *script) {
			set, nodes, pods := s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 30 })
			s.drop(pods[0])
			s.remove(pods[0])
			s.run(set, nodes[0], "new-n1")
			s.knowing().drop(pods[1])
		}},
		"two at once are allowed": {play: func(s *script) {
			_, _, pods := s.fleet(limits(2, 0))
			s.drop(pods[0])
			s.drop(pods[1])
		}},
		"a pod that was not available": {play: func(s *script) {
			_, _, pods := s.fleet()
			s.drop(pods[0])
			s.ready(pods[1], false)
			s.drop(pods[1])
		}},
		"users take what they like": {play: func(s *script) {
			_, _, pods := s.fleet()
			for _, pod := range pods[:2] {
				s.ask(user, pod)
				s.terminate(pod)
			}
			other := s.daemon("f", limits(4, 0))
			pod := s.run(other, s.node("n9"), "f-n9")
			s.knowing().drop(pod)
		}},
		"under OnDelete": {breaks: S4, play: func(s *script) {
			_, _, pods := s.fleet(onDelete)
			s.knowing().drop(pods[0])
		}},
	})
}

// A limit, a failed node and a new node count from the moment at which the controller may know of them.
func TestBudgetByWhatWasKnown(t *testing.T) {
	play(t, S4, map[string]scene{
		"the limit was lowered when the controller could not know it": {play: func(s *script) {
			set, _, pods := s.fleet(limits(2, 0))
			s.drop(pods[0])
			s.knowing()
			s.edit(set, limits(1, 0))
			s.wait(time.Hour)
			s.drop(pods[1])
		}},
		"the limit was lowered before": {breaks: S4, play: func(s *script) {
			set, _, pods := s.fleet(limits(2, 0))
			s.drop(pods[0])
			s.edit(set, limits(1, 0))
			s.knowing().drop(pods[1])
		}},
		"minReadySeconds was lowered when the controller could not know it": {play: func(s *script) {
			set, _, pods := s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 3600 })
			s.knowing()
			s.edit(set, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 1 })
			s.drop(pods[0])
			s.drop(pods[1])
			s.edit(set, limits(3, 0))
			s.knowing().drop(pods[2])
		}},
		"minReadySeconds was lowered before": {breaks: S4, play: func(s *script) {
			set, _, pods := s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 3600 })
			s.edit(set, func(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 1 })
			s.knowing()
			s.drop(pods[0])
			s.drop(pods[1])
		}},
		"another node failed when the controller could not know it": {play: func(s *script) {
			_, _, pods := s.fleet()
			s.knowing()
			s.ready(pods[0], false)
			s.drop(pods[1])
		}},
		"another node failed before": {breaks: S4, play: func(s *script) {
			_, _, pods := s.fleet()
			s.ready(pods[0], false)
			s.knowing().drop(pods[1])
		}},
		"a node joined when the controller could not know it": {play: func(s *script) {
			_, _, pods := s.fleet()
			s.knowing()
			s.node("n4")
			s.drop(pods[1])
		}},
		"a node joined before": {breaks: S4, play: func(s *script) {
			_, _, pods := s.fleet()
			s.node("n4")
			s.knowing().drop(pods[1])
		}},
	})
}

// A node that admission excludes costs no budget.
func TestBudgetOfBlockedNodes(t *testing.T) {
	play(t, S4, map[string]scene{
		"a blocked node does not count": {play: func(s *script) {
			set, _, pods := s.fleet()
			sent := s.emitted(set, s.node("n4"), "new-n4")
			as := placed(sent)
			as.Spec.NodeSelector = map[string]string{"added": "by-a-policy"}
			s.send(sent, as)
			s.wait(time.Minute)
			s.knowing().drop(pods[0])
		}},
		"a node that its own placement excludes counts": {breaks: S4, play: func(s *script) {
			set, _, pods := s.fleet()
			sent := s.emitted(set, s.node("n4"), "new-n4")
			sent.Spec.NodeSelector = map[string]string{"added": "by-the-controller"}
			s.send(sent, placed(sent))
			s.wait(time.Minute)
			s.knowing().drop(pods[0])
		}},
	})
}

// A surge hands a node over when its new pod is available, and is limited.
func TestBudgetOfSurges(t *testing.T) {
	play(t, S4, map[string]scene{
		"of a surge, handed over": {play: func(s *script) {
			set, nodes, pods := s.fleet(limits(0, 1))
			s.knowing().run(set, nodes[0], "new-n1", surging)
			s.knowing().drop(pods[0])
		}},
		"of a surge, too early": {breaks: S4, play: func(s *script) {
			set, nodes, pods := s.fleet(limits(0, 1))
			s.bind(s.create(set, nodes[0], "new-n1", surging), "n1")
			s.knowing().drop(pods[0])
		}},
		"of a surge, the new pod failed when the controller could not know it": {play: func(s *script) {
			set, nodes, pods := s.fleet(limits(0, 1))
			fresh := s.knowing().run(set, nodes[0], "new-n1", surging)
			s.knowing()
			s.ready(fresh, false)
			s.drop(pods[0])
		}},
		"two nodes surge": {breaks: S4, play: func(s *script) {
			set, nodes, _ := s.fleet(limits(0, 1))
			s.create(set, nodes[0], "new-n1", surging)
			s.create(set, nodes[1], "new-n2", surging)
		}},
	})
}

// What was not observed is not judged.
func TestBudgetUnobserved(t *testing.T) {
	play(t, S4, map[string]scene{
		"pods were not observed": {unjudged: S4, play: func(s *script) {
			_, _, pods := s.fleet()
			s.drop(pods[0])
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Pods, From: s.revision}})
			s.terminate(pods[1])
		}},
		"requests were not observed": {unjudged: S4, play: func(s *script) {
			_, _, pods := s.fleet()
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Requests}})
			s.terminate(pods[1])
		}},
	})
}
