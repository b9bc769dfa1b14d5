package caches

import (
	"testing"

	"github.com/everynode/everynode/controller/fixture"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/internal/daemon"
)

var drawNode = rapid.SampledFrom([]string{"n1", "n2"})

func trimmed[T any](t rapid.TB, trim func(any) (any, error), object T) T {
	got, err := trim(object)
	if err != nil {
		t.Fatal(err)
	}
	return got.(T)
}

// Informers keep the result of the transform, and may transform a pod twice.
func TestTrimPod(t *testing.T) {
	pod := fixture.Pod(fixture.Daemon("d"), fixture.Node("n1"))
	once, err := TrimPod(everynode)(pod)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := toolscache.MetaNamespaceKeyFunc(once); err != nil || key != "ns/"+pod.Name {
		t.Errorf("an informer's key of it is %q, %v", key, err)
	}
	if twice, err := TrimPod(everynode)(once); err != nil || twice != once {
		t.Errorf("trimmed twice: %v, %v", twice, err)
	}
}

func TestTrimNodeKeepsWhatVerdictsDependOn(t *testing.T) {
	drawKey := rapid.SampledFrom([]string{"disk", "zone", corev1.TaintNodeNotReady})
	drawEffect := rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute})
	rapid.Check(t, func(t *rapid.T) {
		node := fixture.Node(drawNode.Draw(t, "node"))
		node.Labels = rapid.MapOf(drawKey, drawNode).Draw(t, "labels")
		node.Annotations = map[string]string{"note": "long"}
		node.Spec.Unschedulable = rapid.Bool().Draw(t, "unschedulable")
		node.Spec.Taints = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Taint {
			return corev1.Taint{Key: drawKey.Draw(t, "key"), Effect: drawEffect.Draw(t, "effect")}
		}), 0, 2).Draw(t, "taints")
		node.Status.Phase = corev1.NodeRunning
		set := fixture.Daemon("d")
		spec := &set.Spec.Template.Spec
		spec.NodeName = rapid.SampledFrom([]string{"", "", "n1"}).Draw(t, "nodeName")
		spec.NodeSelector = rapid.MapOfN(drawKey, drawNode, 0, 1).Draw(t, "selector")
		if rapid.Bool().Draw(t, "affinity") {
			spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: fixture.DrawSelector(t)}}
		}

		before := node.DeepCopy()
		got := trimmed(t, TrimNode, node)
		if diff := cmp.Diff(before, node); diff != "" {
			t.Fatalf("trimming changed the node it was given:\n%s", diff)
		}
		rules := daemon.NewRules(&set.Spec.Template)
		if diff := cmp.Diff(rules.Evaluate(node), rules.Evaluate(got)); diff != "" {
			t.Fatalf("Evaluate after trimming (-want, +got):\n%s", diff)
		}
		template := &daemon.Template{Namespace: "ns", Name: "d", Pod: set.Spec.Template}
		if diff := cmp.Diff(daemon.NewPod(template, node, "d"), daemon.NewPod(template, got, "d")); diff != "" {
			t.Fatalf("NewPod after trimming (-want, +got):\n%s", diff)
		}
		if diff := cmp.Diff(got, trimmed(t, TrimNode, got)); diff != "" {
			t.Fatalf("trimmed twice:\n%s", diff)
		}
		if got.Status.Phase != "" || got.Annotations != nil {
			t.Fatalf("it keeps more than it needs: %+v", got)
		}
	})
}

// Tombstones and other objects pass the transform unchanged.
func TestTrimPassesOthers(t *testing.T) {
	for name, trim := range map[string]func(any) (any, error){"pod": TrimPod(everynode), "node": TrimNode} {
		if got, err := trim("something"); got != "something" || err != nil {
			t.Errorf("%s: trim = %v, %v", name, got, err)
		}
	}
}
