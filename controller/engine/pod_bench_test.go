package engine

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/test/bench/standin"
)

// deaf returns a state whose queues drop everything, with daemons whose pods run on every node.
func deaf(tb testing.TB, daemons, nodes int) (*statetest.State, []*model.Pod) {
	tb.Helper()
	cluster := statetest.Deaf()
	for n := range nodes {
		cluster.SeeNode(makeNode(fmt.Sprintf("node-%d", n)))
	}
	var pods []*model.Pod
	for d := range daemons {
		set := makeDaemon(fmt.Sprintf("daemon-%d", d))
		cluster.See(tb, set)
		for n := range nodes {
			name := fmt.Sprintf("node-%d", n)
			pod := statetest.Everynode.ObservePod(makePod(set, makeNode(name), bound(name), ready(t0), podUID(set.UID+"-"+"pod-"+makeNode(name).UID)))
			cluster.Update(func(u model.Update) { u.SeePod(pod) })
			if d == 0 {
				pods = append(pods, pod)
			}
		}
	}
	return cluster, pods
}

// A pod's event costs only what it changed: the time must hardly depend on the number
// of nodes. It includes everything from the bytes of the watch to the plan.
func BenchmarkPodEvent(b *testing.B) {
	raw := standin.EncodedPod(b)
	for _, nodes := range []int{1000, 15000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			cluster, pods := deaf(b, 1, nodes)
			unready := make([]*model.Pod, len(pods))
			for i, pod := range pods {
				changed := *pod
				changed.Ready = false
				unready[i] = &changed
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				states := pods
				if i/len(pods)%2 == 0 {
					states = unready
				}
				var decoded caches.LeanPod
				if err := decoded.Unmarshal(raw); err != nil || !statetest.Everynode.ObservePod(&decoded.Pod).Ours() {
					b.Fatal(err)
				}
				pod := states[i%len(pods)]
				cluster.Update(func(u model.Update) { u.SeePod(pod) })
				cluster.Task(pod.Cell())
				i++
			}
		})
	}
}

// BenchmarkSeePod measures decoding a pod and keeping the necessary fields: lean, as
// the controller does, and whole, as client-go would.
func BenchmarkSeePod(b *testing.B) {
	raw := standin.EncodedPod(b)
	decode := map[string]func() (*model.Pod, error){
		"lean": func() (*model.Pod, error) {
			var pod caches.LeanPod
			err := pod.Unmarshal(raw)
			return statetest.Everynode.ObservePod(&pod.Pod), err
		},
		"whole": func() (*model.Pod, error) {
			var pod corev1.Pod
			err := pod.Unmarshal(raw)
			return statetest.Everynode.ObservePod(&pod), err
		},
	}
	for _, how := range []string{"lean", "whole"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if seen, err := decode[how](); err != nil || !seen.Ours() {
					b.Fatalf("seen %+v, %v", seen, err)
				}
			}
		})
	}
}
