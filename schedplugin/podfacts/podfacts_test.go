package podfacts

import (
	"runtime"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/internal/hostile"
	"github.com/everynode/everynode/internal/schedtest"
)

// The cached facts of a large pod are those that the rules compute, whether it is bound or not, and for every owner.
func TestAnswersAreThoseOfTheRules(t *testing.T) {
	pods := map[string]*corev1.Pod{
		"ordinary":         schedtest.MakePod("p").Obj(),
		"bound":            schedtest.Twin("p").Obj(),
		"without an owner": schedtest.MakePod("p").Owner().Obj(),
		"not pinned":       schedtest.MakePod("p").Affinity(nil).Obj(),
		"pinned to others": schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n1"), schedtest.Pinned("n2"))).Obj(),
	}
	for _, kind := range hostile.Kinds() {
		pods[kind] = hostile.PodOf(kind, 1000)
		bound := pods[kind].DeepCopy()
		bound.Spec.NodeName = "n9"
		pods[kind+", bound"] = bound
	}
	for name, pod := range pods {
		t.Run(name, func(t *testing.T) {
			for range 2 { // computed, then cached
				wantKey, want := daemon.CellOf(pod)
				if key, ok := KeyOf(pod); key != wantKey || ok != want {
					t.Errorf("KeyOf = %v, %v, want %v, %v", key, ok, wantKey, want)
				}
				wantNode, want := daemon.Target(pod)
				if node, ok := Target(pod); node != wantNode || ok != want {
					t.Errorf("Target = %q, %v, want %q, %v", node, ok, wantNode, want)
				}
				owner, want := daemon.OwnedByDaemon(pod)
				if uid, ok := Owner(pod); ok != want || ok && uid != owner.UID {
					t.Errorf("Owner = %q, %v, want %v, %v", uid, ok, owner, want)
				}
			}
		})
	}
}

// A large pod is read once, and its facts are dropped with the object.
func TestFactsOfALargePodAreCachedAsLongAsThePod(t *testing.T) {
	pod := hostile.PodOf("terms", 1000)
	first, _ := KeyOf(pod)
	pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0] = schedtest.Pinned("elsewhere")
	if again, _ := KeyOf(pod); again != first {
		t.Errorf("the terms were read again: the key was %v and is %v", first, again)
	}
	if n := length(); n == 0 {
		t.Fatal("the facts of a large pod are not cached")
	}
	runtime.KeepAlive(pod)
	for i := 0; length() > 0; i++ {
		if i > 100 {
			t.Fatalf("%d deleted pods are still cached", length())
		}
		runtime.GC()
		runtime.Gosched()
	}
}

func length() (n int) {
	known.Range(func(any, any) bool { n++; return true })
	return n
}

// Ordinary pods are not cached: there may be hundreds of thousands of them.
func TestOrdinaryPodsAreNotCached(t *testing.T) {
	known = sync.Map{}
	pod := schedtest.MakePod("p").Obj()
	if allocations := testing.AllocsPerRun(100, func() { KeyOf(pod) }); allocations > 0 {
		t.Errorf("KeyOf of an ordinary pod makes %v allocations, want none", allocations)
	}
	if n := length(); n > 0 {
		t.Errorf("%d ordinary pods are cached, want none", n)
	}
}

func TestLarge(t *testing.T) {
	if Large(schedtest.MakePod("p").Obj()) {
		t.Error("an ordinary pod is large")
	}
	ofNoInterest := map[string]bool{"annotations": true, "an argument": true, "environment": true, "finalizers": true, "labels": true, "probes": true, "schedulingGates": true}
	for _, kind := range hostile.Kinds() {
		if got := Large(hostile.PodOf(kind, 1000)); got == ofNoInterest[kind] {
			t.Errorf("Large of a pod of %s = %v, want %v", kind, got, !got)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, kind := range append(hostile.Kinds(), "ordinary") {
		pod := schedtest.MakePod("p").Obj()
		if kind != "ordinary" {
			pod = hostile.Pod(kind)
		}
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				KeyOf(pod)
				Large(pod)
			}
		})
	}
}
