package daemon

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/hostile"
)

// What is done for every event of a pod, whatever created it.
func BenchmarkHostilePod(b *testing.B) {
	for _, kind := range hostile.Kinds() {
		pod := hostile.Pod(kind)
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				CellOf(pod)
			}
		})
	}
}

// What admission does to a pod, decoding excluded.
func BenchmarkHostileRewrite(b *testing.B) {
	for _, kind := range hostile.Kinds() {
		pod := hostile.Pod(kind)
		terms := requiredTerms(&pod.Spec)
		for i := range terms {
			if fields := terms[i].MatchFields; len(fields) == 1 && pinsTo(&fields[0], hostile.Node) {
				terms[i].MatchFields = nil // for Rewrite to pin
			}
		}
		b.Run(kind, func(b *testing.B) {
			emitted := &corev1.Pod{ObjectMeta: pod.ObjectMeta}
			for b.Loop() {
				b.StopTimer()
				emitted.Spec = *pod.Spec.DeepCopy()
				emitted.Spec.NodeName = hostile.Node
				b.StartTimer()
				_, _ = Rewrite(emitted, "test")
			}
		})
	}
}

// What is done for each node and daemon of a template that is served, with the daemon's lock not held.
func BenchmarkHostileVerdict(b *testing.B) {
	node := &corev1.Node{}
	node.Name = hostile.Node
	for range 10 {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "no such", Effect: corev1.TaintEffectNoSchedule})
	}
	for _, kind := range hostile.Kinds() {
		template := hostile.Template(kind)
		if CheckTemplate(template) != nil {
			template = hostile.TemplateOf(kind, MaxRequirements/4)
		}
		rules := NewRules(template)
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				rules.Evaluate(node)
			}
		})
	}
}

// What is done once for each generation of a DaemonSet, with no lock held: its template is compared with its records
// by this.
func BenchmarkHostileIdentify(b *testing.B) {
	for _, kind := range kinds {
		for _, large := range hostile.Kinds() {
			template := hostile.Template(large)
			if CheckTemplate(template) != nil {
				template = hostile.TemplateOf(large, MaxRequirements/5)
			}
			w := makeWorkload(kind, *template, nil)
			b.Run(kind.GroupVersionKind().Group+"/"+large, func(b *testing.B) {
				for b.Loop() {
					if _, err := Identify(w); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
