package checker

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/test/faults/history"
)

func TestBystanders(t *testing.T) {
	asks := func(code int32, took time.Duration) func(*script) {
		return func(s *script) {
			s.request(history.Request{User: bystander, Verb: "create", Resource: "pods", Namespace: "other", Name: "p", Code: code, Took: took})
		}
	}
	play(t, S7, map[string]scene{
		"served":                {play: asks(201, 100*time.Millisecond)},
		"refused":               {breaks: S7, play: asks(500, time.Millisecond)},
		"no answer":             {breaks: S7, play: asks(0, time.Millisecond)},
		"slow":                  {breaks: S7, play: asks(201, 2*time.Second)},
		"slow, and it may be":   {play: func(s *script) { s.h.BystandersWithin = time.Minute; asks(201, 2*time.Second)(s) }},
		"in a fault of its own": {breaks: S7, play: func(s *script) { s.mark(history.FaultBegins); asks(500, 0)(s) }},
		"in a fault of the API server": {unjudged: S7, play: func(s *script) {
			s.add(history.Record{Mark: &history.Mark{Kind: history.FaultBegins, Everyone: true}})
			asks(500, 0)(s)
		}},
	})
}

func TestHotLoop(t *testing.T) {
	// loop replaces a pod that never runs, with waits in between.
	loop := func(times int, wait func(n int) time.Duration) func(*script) {
		return func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			for n := range times {
				p := s.create(set, node, fmt.Sprintf("p%d", n))
				s.bind(p, "n1")
				s.podChanges(p, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
				s.ask(controller, p)
				s.remove(p)
				s.wait(wait(n))
			}
		}
	}
	play(t, S8, map[string]scene{
		"with back-off": {play: loop(40, func(n int) time.Duration { return min(time.Second<<min(n, 20), 15*time.Minute) })},
		"without":       {breaks: S8, play: loop(40, func(int) time.Duration { return 0 })},
		"once a minute": {breaks: S8, play: loop(100, func(int) time.Duration { return time.Minute })},
		"requests that are refused": {breaks: S8, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			for range 60 {
				s.request(history.Request{User: controller, Verb: "create", Resource: "pods", Namespace: "ns", Name: "p", Object: s.emitted(set, node, "p"), Code: 403})
			}
		}},
		"edits explain writes": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1")
			for n := range 60 {
				s.edit(set, image(fmt.Sprintf("image:%d", n)))
				p := s.run(set, node, fmt.Sprintf("p%d", n))
				s.drop(p)
				s.remove(p)
			}
		}},
		"requests were not observed": {unjudged: S8, play: func(s *script) {
			s.create(s.daemon("d"), s.node("n1"), "p1")
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Requests}})
		}},
	})
}

func TestPreemption(t *testing.T) {
	room := func(pods string) func(*corev1.Node) {
		return func(node *corev1.Node) {
			node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: *quantity(pods)}
		}
	}
	other := func(s *script, name string, priority int32) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}, Spec: corev1.PodSpec{NodeName: "n1", Priority: &priority}}
		s.change(watch.Added, history.Pods, pod)
		return pod
	}
	evict := func(s *script, pod *corev1.Pod) {
		s.request(history.Request{User: scheduler, Verb: "delete", Resource: "pods", Namespace: pod.Namespace, Name: pod.Name, Code: 200})
		s.terminate(pod)
	}
	play(t, S6, map[string]scene{
		"lower priority on a full node": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("1"))
			victim := other(s, "v", 0)
			s.create(set, node, "p1", withPriority(100))
			evict(s, victim)
		}},
		"the same priority": {breaks: S6, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("1"))
			victim := other(s, "v", 100)
			s.create(set, node, "p1", withPriority(100))
			evict(s, victim)
		}},
		"nobody waits": {breaks: S6, play: func(s *script) {
			s.node("n1", room("1"))
			evict(s, other(s, "v", 0))
		}},
		"one of two is enough": {breaks: S6, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("2"))
			first, second := other(s, "v", 0), other(s, "w", 0)
			s.create(set, node, "p1", withPriority(100))
			evict(s, first)
			evict(s, second)
		}},
		"both are needed": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("1"))
			first, second := other(s, "v", 0), other(s, "w", 0)
			s.create(set, node, "p1", withPriority(100))
			evict(s, first)
			evict(s, second)
		}},
		"a twin of lower priority": {play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("10"))
			twin := s.run(set, node, "p1")
			s.create(set, node, "p2", withPriority(100))
			evict(s, twin)
		}},
		"a twin of the same priority": {breaks: S6, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("10"))
			twin := s.run(set, node, "p1", withPriority(100))
			s.create(set, node, "p2", withPriority(100))
			evict(s, twin)
		}},
		"again and again": {breaks: S8, play: func(s *script) {
			set, node := s.daemon("d"), s.node("n1", room("1"))
			s.create(set, node, "p1", withPriority(100))
			for n := range 600 {
				victim := other(s, fmt.Sprintf("v%d", n), 0)
				evict(s, victim)
				s.remove(victim)
			}
		}},
		"pods were not observed": {unjudged: S6, play: func(s *script) {
			s.node("n1", room("1"))
			victim := other(s, "v", 0)
			s.add(history.Record{Mark: &history.Mark{Kind: history.Gap, Resource: history.Pods, From: s.revision}})
			s.request(history.Request{User: scheduler, Verb: "delete", Resource: "pods", Namespace: "ns", Name: victim.Name, Code: 200})
		}},
	})
}
