package checker

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/test/faults/history"
)

func TestCovered(t *testing.T) {
	play(t, L1, map[string]scene{
		"each node has its pod": {play: func(s *script) {
			set := s.daemon("d")
			for _, node := range s.nodes(3) {
				s.run(set, node, "p-"+node.Name)
			}
			s.mark(history.Settled)
		}},
		"a node has none": {breaks: L1, play: func(s *script) {
			set, nodes := s.daemon("d"), s.nodes(2)
			s.run(set, nodes[0], "p1")
			s.mark(history.Settled)
		}},
		"a pod is not available": {breaks: L1, play: func(s *script) {
			s.bind(s.create(s.daemon("d"), s.node("n1"), "p1"), "n1")
			s.mark(history.Settled)
		}},
		"a pod is left beside another one": {breaks: L1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.create(set, node, "p2")
			s.mark(history.Settled)
		}},
		"a pod has a former template": {breaks: L1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.edit(set, image("image:2"))
			s.mark(history.Settled)
		}},
		"a pod has a former template under OnDelete": {play: func(s *script) {
			set, node := s.daemon("d", onDelete), s.node("n1")
			s.run(set, node, "p1")
			s.edit(set, image("image:2"))
			s.mark(history.Settled)
		}},
		"a node is full of pods of the same priority": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", func(node *corev1.Node) {
				node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: *quantity("1")}
			})
			s.change(watch.Added, history.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "other", UID: "uid-other"}, Spec: corev1.PodSpec{NodeName: "n1"}})
			s.create(set, node, "p1")
			s.mark(history.Settled)
		}},
		"a node is full of pods of lower priority": {breaks: L1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", func(node *corev1.Node) {
				node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: *quantity("1")}
			})
			s.change(watch.Added, history.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "other", UID: "uid-other"}, Spec: corev1.PodSpec{NodeName: "n1"}})
			s.create(set, node, "p1", withPriority(100))
			s.mark(history.Settled)
		}},
		"pods fail on a broken node": {unjudged: L1, play: func(s *script) {
			s.bind(s.create(s.daemon("d"), s.node("n1"), "p1"), "n1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Broken, Name: "n1"}})
			s.mark(history.Settled)
		}},
		"nodes were not observed": {unjudged: L1, play: func(s *script) {
			s.daemon("d")
			s.node("n1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Nodes, From: s.revision}})
			s.mark(history.Settled)
		}},
	})
}

func TestQuiet(t *testing.T) {
	patch := history.Request{User: controller, Verb: "patch", Resource: string(history.DaemonSets), Subresource: "status", Namespace: "ns", Name: "d", Code: 200}
	play(t, L2, map[string]scene{
		"writes before": {play: func(s *script) {
			s.request(patch)
			s.mark(history.Settled)
		}},
		"a write after": {breaks: L2, play: func(s *script) {
			s.mark(history.Settled)
			s.request(patch)
		}},
		"leases, events and dry runs after": {play: func(s *script) {
			s.mark(history.Settled)
			for _, r := range []history.Request{
				{User: controller, Verb: "update", Resource: "leases.coordination.k8s.io"}, {User: controller, Verb: "create", Resource: "events.events.k8s.io"},
				{User: controller, Verb: "create", Resource: "pods", DryRun: true, Object: s.emitted(s.daemon("d", onDelete), &corev1.Node{}, "p")}, {User: controller, Verb: "get", Resource: "pods"},
				{User: user, Verb: "create", Resource: "pods"},
			} {
				s.request(r)
			}
		}},
		"a write after another edit": {play: func(s *script) {
			s.mark(history.Settled)
			s.mark(history.Edited)
			s.request(patch)
		}},
		"no requests were recorded": {unjudged: L2, play: func(s *script) { s.mark(history.Settled) }},
	})
}

func TestLeft(t *testing.T) {
	play(t, L3, map[string]scene{
		"a node's pods go with it": {play: func(s *script) {
			set, nodes := s.daemon("d"), s.nodes(2)
			p := s.run(set, nodes[0], "p1")
			s.run(set, nodes[1], "p2")
			s.change(watch.Deleted, history.Nodes, nodes[0])
			s.drop(p)
			s.remove(p)
			s.mark(history.Settled)
		}},
		"the pod of a node that is gone": {breaks: L3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.change(watch.Deleted, history.Nodes, node)
			s.mark(history.Settled)
		}},
		"the pod of a DaemonSet that is gone": {breaks: L3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.change(watch.Deleted, history.DaemonSets, set)
			s.mark(history.Settled)
		}},
		"an orphan": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			p := s.run(set, node, "p1")
			s.change(watch.Deleted, history.DaemonSets, set)
			s.podChanges(p, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
			s.run(s.daemon("e"), node, "p2")
			s.mark(history.Settled)
		}},
	})
}
