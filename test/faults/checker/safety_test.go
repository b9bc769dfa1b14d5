package checker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

func TestAtMostOne(t *testing.T) {
	play(t, S1, map[string]scene{
		"one after the other": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			p := s.run(set, node, "p1")
			s.drop(p)
			s.remove(p)
			s.run(set, node, "p2")
		}},
		"a second one is bound while the first terminates": {breaks: S1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.drop(s.run(set, node, "p1"))
			s.run(set, node, "p2")
		}},
		"one that has failed does not count": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			failed := s.run(set, node, "p1")
			s.podChanges(failed, func(pod *corev1.Pod) { pod.Status = corev1.PodStatus{Phase: corev1.PodFailed} })
			s.ask(user, failed)
			s.terminate(failed)
			s.knowing().run(set, node, "p2")
		}},
		"one is created while the first is terminating": {breaks: S1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.drop(s.run(set, node, "p1"))
			s.knowing().create(set, node, "p2")
		}},
		"one is created while another one waits, of which the controller could not know": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.knowing()
			s.create(set, node, "p1")
			s.wait(time.Hour)
			s.create(set, node, "p2")
		}},
		"two of two revisions without a surge": {breaks: S1, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.edit(set, image("image:2"))
			s.run(set, node, "p2")
		}},
		"two of two revisions in a surge": {play: func(s *script) {
			set, node := s.daemon("d", limits(0, 1)), s.node("n1")
			s.run(set, node, "p1")
			s.edit(set, image("image:2"))
			s.run(set, node, "p2", surging)
		}},
		"two of one revision in a surge": {breaks: S1, play: func(s *script) {
			set, node := s.daemon("d", limits(0, 1)), s.node("n1")
			s.run(set, node, "p1")
			s.run(set, node, "p2", surging)
		}},
		"pods of two daemons": {play: func(s *script) {
			node := s.node("n1")
			s.run(s.daemon("d"), node, "p1")
			s.run(s.daemon("e"), node, "p2")
		}},
		"a list after a gap replaces one by another": {unjudged: S2, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			p := s.run(set, node, "p1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Pods, From: s.revision}})
			next := p.DeepCopy()
			next.Name, next.UID = "p2", "uid-p2"
			s.change(watch.Added, history.Pods, next)
			s.revision--
			s.remove(p)
			s.mark(history.Settled)
		}},
	})
}

func TestOnePodForAPredecessor(t *testing.T) {
	twins := func(known, taken bool) func(*script) {
		return func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			if taken {
				other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p3", UID: "uid-other"}}
				s.change(watch.Added, history.Pods, other)
				s.remove(other)
			}
			former := s.knowing().run(set, node, "p1")
			s.ask(user, former)
			s.terminate(former)
			s.remove(former)
			s.knowing()
			if !known {
				s.view.From = s.revision
			}
			s.create(set, node, "p2")
			s.create(set, node, "p3")
		}
	}
	play(t, S1, map[string]scene{
		"two pods after one":                         {breaks: S1, play: twins(true, false)},
		"a process that did not see the predecessor": {play: twins(false, false)},
		"another owner's pod had one of the names":   {play: twins(true, true)},
	})
}

func TestPlacement(t *testing.T) {
	terms := func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpDoesNotExist}}},
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpExists}}},
			},
		}}}
	}
	stored := func(change func(*corev1.Pod)) func(*script) {
		return func(s *script) {
			set, node := s.daemon("d", terms), s.node("n1")
			s.node("n2", func(node *corev1.Node) { node.Labels = map[string]string{"zone": "z", "pool": "a"} })
			s.node("n3", func(node *corev1.Node) { node.Labels = map[string]string{"zone": "z"} })
			sent := s.emitted(set, node, "p1")
			sent.Spec.SchedulingGates = append([]corev1.PodSchedulingGate{{Name: "other/gate"}}, sent.Spec.SchedulingGates...)
			as := placed(sent)
			change(as)
			s.send(sent, as)
		}
	}
	nodeTerms := func(pod *corev1.Pod) *corev1.NodeSelector {
		return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	play(t, S2, map[string]scene{
		"pinned by each term": {play: stored(func(*corev1.Pod) {})},
		"stored with nodeName": {breaks: S2, play: stored(func(pod *corev1.Pod) {
			pod.Spec.NodeName = "n1"
		})},
		"a term is appended": {breaks: S2, play: stored(func(pod *corev1.Pod) {
			terms := nodeTerms(pod)
			terms.NodeSelectorTerms[0].MatchFields = nil
		})},
		"pinned to another node": {breaks: S2, play: stored(func(pod *corev1.Pod) {
			for i := range nodeTerms(pod).NodeSelectorTerms {
				nodeTerms(pod).NodeSelectorTerms[i].MatchFields[0].Values = []string{"n2"}
			}
		})},
		"all terms are replaced": {breaks: S3, play: stored(func(pod *corev1.Pod) {
			terms := nodeTerms(pod)
			terms.NodeSelectorTerms = terms.NodeSelectorTerms[:1]
			terms.NodeSelectorTerms[0].MatchExpressions = nil
		})},
		"the gate of another controller is gone": {breaks: S2, play: stored(func(pod *corev1.Pod) {
			pod.Spec.SchedulingGates = nil
		})},
		"our gate stays": {breaks: S2, play: stored(func(pod *corev1.Pod) {
			pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})
		})},
		"sent with nodeName and without the gate": {breaks: S2, play: func(s *script) {
			sent := s.emitted(s.daemon("d"), s.node("n1"), "p1")
			as := placed(sent)
			sent.Spec.SchedulingGates = nil
			s.send(sent, as)
		}},
		"bound to its target": {play: func(s *script) { s.bind(s.create(s.daemon("d"), s.node("n1"), "p1"), "n1") }},
		"bound to another node": {breaks: S2, play: func(s *script) {
			set, node := s.daemon("d", limits(0, 1)), s.node("n1")
			s.node("n2")
			p := s.create(set, node, "p1")
			p.Spec.Affinity = nil // no pod could be bound there otherwise
			s.bind(p, "n2")
		}},
		"a pod that somebody else created with nodeName": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			sent := s.emitted(set, node, "p1")
			s.request(history.Request{User: user, Verb: "create", Resource: "pods", Namespace: "ns", Name: "p1", Object: sent, Code: 201})
			sent.UID = "uid-p1"
			s.change(watch.Added, history.Pods, sent)
			s.create(set, s.node("n2"), "p2")
		}},
		"a pod that existed before": {unjudged: S2, play: func(s *script) {
			s.h.Began = 10
			s.run(s.daemon("d"), s.node("n1"), "p1")
		}},
		"a pod that was created in a gap": {unjudged: S2, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Pods, From: s.revision}})
			pod := s.emitted(set, node, "p1")
			pod.UID = "uid-p1"
			s.change(watch.Added, history.Pods, pod)
		}},
		"a create that was not recorded as it was sent": {unjudged: S2, play: func(s *script) {
			s.daemon("d")
			s.request(history.Request{User: controller, Verb: "create", Resource: "pods", Namespace: "ns", Name: "p1", Code: 201})
		}},
	})
}

func TestEligible(t *testing.T) {
	play(t, S3, map[string]scene{
		"an eligible node": {play: func(s *script) { s.run(s.daemon("d"), s.node("n1"), "p1") }},
		"a tainted node": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", tainted(corev1.TaintEffectNoSchedule))
			s.knowing().create(set, node, "p1")
		}},
		"a node that was tainted when the controller could not know it": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.knowing()
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.wait(time.Hour)
			s.create(set, node, "p1")
		}},
		"a node that was tainted when the controller knew it": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.knowing()
			s.create(set, node, "p1")
		}},
		"without a view, a lag after the taint": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.wait(history.DefaultLag)
			s.create(set, node, "p1")
		}},
		"without a view, in a fault that began before the taint": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.mark(history.FaultBegins)
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.wait(time.Hour)
			s.create(set, node, "p1")
		}},
		"a pod that does not fit the node for which it was made": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", func(node *corev1.Node) {
				node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}
			})
			s.knowing().create(set, node, "p1")
		}},
		"a node that does not exist": {breaks: S3, play: func(s *script) {
			s.create(s.daemon("d"), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n9", UID: types.UID("uid-n9")}}, "p1")
		}},
		"a template that is held back": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			sent := s.emitted(set, node, "p1")
			s.edit(set, image("image:2"), func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "a"} })
			s.knowing()
			s.send(sent, placed(sent))
		}},
		"it is bound to a node that does not fit it any more": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			p := s.create(set, node, "p1")
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.wait(time.Minute)
			s.bind(p, "n1")
		}},
		"nodes were not observed": {unjudged: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Nodes, From: s.revision}})
			s.knowing()
			s.create(set, node, "p1")
		}},
		"a pod stays where NoExecute ends it": {breaks: S3, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.nodeChanges(node, tainted(corev1.TaintEffectNoExecute))
			s.mark(history.Settled)
		}},
		"a pod stays where NoSchedule lets it": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			s.run(set, node, "p1")
			s.nodeChanges(node, tainted(corev1.TaintEffectNoSchedule))
			s.mark(history.Settled)
		}},
	})
}

func TestOwned(t *testing.T) {
	play(t, S5, map[string]scene{
		"its own pod, by UID": {play: func(s *script) { s.drop(s.run(s.daemon("d"), s.node("n1"), "p1")) }},
		"a delete that the API server could not read": {unjudged: S5, play: func(s *script) {
			s.run(s.daemon("d"), s.node("n1"), "p1")
			s.request(history.Request{User: controller, Verb: "delete", Resource: "pods", Namespace: "ns", Name: "p1", Unread: true, Code: 500})
		}},
		"without a UID": {breaks: S5, play: func(s *script) {
			p := s.run(s.daemon("d"), s.node("n1"), "p1")
			s.request(history.Request{User: controller, Verb: "delete", Resource: "pods", Namespace: "ns", Name: p.Name, Code: 200})
		}},
		"all pods at once": {breaks: S5, play: func(s *script) {
			s.request(history.Request{User: controller, Verb: "deletecollection", Resource: "pods", Namespace: "ns", Code: 200})
		}},
		"somebody else's pod": {breaks: S5, play: func(s *script) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p1", UID: "uid-p1"}}
			s.change(watch.Added, history.Pods, pod)
			s.ask(controller, pod)
		}},
		"a pod that was released a moment ago": {play: func(s *script) {
			p := s.run(s.daemon("d"), s.node("n1"), "p1")
			s.knowing()
			s.podChanges(p, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
			s.ask(controller, p)
		}},
		"a pod that was released before": {breaks: S5, play: func(s *script) {
			p := s.run(s.daemon("d"), s.node("n1"), "p1")
			s.podChanges(p, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
			s.knowing()
			s.ask(controller, p)
		}},
		"the patch that adopts an orphan": {play: func(s *script) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p1", UID: "uid-p1"}}
			s.change(watch.Added, history.Pods, pod)
			s.request(history.Request{User: controller, Verb: "patch", Resource: "pods", Namespace: "ns", Name: "p1", UID: "uid-p1", Code: 200})
		}},
		"a record without a UID": {breaks: S5, play: func(s *script) {
			s.request(history.Request{User: controller, Verb: "delete", Resource: string(history.ControllerRevisions), Namespace: "ns", Name: "r1", Code: 200})
		}},
		"a request that is recorded before its pod": {breaks: S5, play: func(s *script) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p1", UID: "uid-p1"}}
			s.ask(controller, pod)
			s.change(watch.Added, history.Pods, pod)
		}},
	})
}
