package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

func trimmed[T any](t rapid.TB, trim func(any) (any, error), object T) T {
	got, err := trim(object)
	if err != nil {
		t.Fatal(err)
	}
	return got.(T)
}

func drawTime(t *rapid.T, label string) metav1.Time {
	return metav1.NewTime(t0.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, label)) * time.Second))
}

func drawSelector(t *rapid.T) *corev1.NodeSelector {
	requirement := rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key:      rapid.SampledFrom([]string{metav1.ObjectNameField, "disk"}).Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn"}).Draw(t, "operator"),
			Values:   rapid.SliceOfN(drawNode, 1, 2).Draw(t, "values"),
		}
	})
	return &corev1.NodeSelector{NodeSelectorTerms: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{
			MatchFields:      rapid.SliceOfN(requirement, 0, 2).Draw(t, "fields"),
			MatchExpressions: rapid.SliceOfN(requirement, 0, 1).Draw(t, "expressions"),
		}
	}), 0, 2).Draw(t, "terms")}
}

func drawPod(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "name"), UID: "uid-p", ResourceVersion: "7",
		CreationTimestamp: drawTime(t, "created"),
		Labels:            rapid.MapOf(rapid.SampledFrom([]string{"app", "controller-revision-hash"}), rapid.StringMatching("[A-Za-z0-9._-]{0,8}")).Draw(t, "labels"),
		Annotations:       rapid.MapOf(rapid.SampledFrom([]string{"note", v1alpha1.NodeUIDAnnotation, v1alpha1.PlacedByAnnotation}), rapid.String()).Draw(t, "annotations"),
		ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "someone"}},
	}}
	if rapid.Bool().Draw(t, "terminating") {
		deleted := drawTime(t, "deleted")
		pod.DeletionTimestamp = &deleted
	}
	if rapid.IntRange(0, 4).Draw(t, "owned") > 0 {
		controller := rapid.IntRange(0, 4).Draw(t, "controller") > 0
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: rapid.SampledFrom([]string{"everynode.dev/v1alpha1", "everynode.dev/v1", "apps/v1", "batch/v1"}).Draw(t, "apiVersion"),
			Kind:       rapid.SampledFrom([]string{"DaemonSet", "DaemonSet", "Job"}).Draw(t, "kind"),
			Name:       "d", UID: types.UID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "owner")), Controller: &controller,
		}}
	}
	pod.Spec = corev1.PodSpec{NodeName: rapid.SampledFrom([]string{"", "", "n1", "n2"}).Draw(t, "nodeName"), Containers: []corev1.Container{{Name: "c"}}}
	switch rapid.IntRange(0, 4).Draw(t, "affinity") {
	case 0:
	case 1:
		pod.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{}}
	default:
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: drawSelector(t)}}
	}
	pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{"", corev1.PodPending, corev1.PodRunning, corev1.PodFailed, corev1.PodSucceeded}).Draw(t, "phase")
	kinds := []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.ContainersReady}
	for _, kind := range rapid.Permutation(kinds).Draw(t, "conditions")[:rapid.IntRange(0, 3).Draw(t, "count")] {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: kind, LastTransitionTime: drawTime(t, "transition"), LastProbeTime: metav1.NewTime(t0), Message: "words",
			Status: rapid.SampledFrom([]corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown}).Draw(t, "status"),
		})
	}
	return pod
}

func TestSeePodKeepsWhatCellsDependOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := drawPod(t)
		before := pod.DeepCopy()
		got := everynodeOnly.seePod(pod)
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Fatalf("the pod changed:\n%s", diff)
		}
		wantCell, ours := everynodeOnly.cellOf(pod)
		if got.cell != wantCell || got.ours != ours {
			t.Fatalf("cell %v, %v, want %v, %v", got.cell, got.ours, wantCell, ours)
		}
		if ours {
			if diff := cmp.Diff(daemon.ObservePod(pod), *got.observed); diff != "" {
				t.Fatalf("observed (-want, +got):\n%s", diff)
			}
		}
		node, hasNode := daemon.Target(pod)
		orphan := metav1.GetControllerOf(pod) == nil && pod.DeletionTimestamp == nil && hasNode
		if (got.orphanOn != "") != orphan || orphan && got.orphanOn != node {
			t.Fatalf("orphan on %q, want %v, %q", got.orphanOn, orphan, node)
		}
		for _, name := range []string{"app", "controller-revision-hash", "other"} {
			want, has := pod.Labels[name]
			if !ours && !orphan {
				want, has = "", false
			}
			if value, found := got.labels().Lookup(name); value != want || found != has {
				t.Fatalf("label %s is %q, %v, want %q, %v", name, value, found, want, has)
			}
		}
		want := []string{pod.Namespace, pod.Name, string(pod.UID), pod.ResourceVersion}
		if diff := cmp.Diff(want, []string{got.GetNamespace(), got.GetName(), string(got.GetUID()), got.GetResourceVersion()}); diff != "" {
			t.Fatalf("namespace, name, UID and resourceVersion (-want, +got):\n%s", diff)
		}
	})
}

// Informers keep what the transform makes of a pod, and may transform it twice.
func TestTrimPod(t *testing.T) {
	pod := makePod(makeDaemon("d"), makeNode("n1"))
	once, err := everynodeOnly.trimPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := toolscache.MetaNamespaceKeyFunc(once); err != nil || key != "ns/"+pod.Name {
		t.Errorf("an informer's key of it is %q, %v", key, err)
	}
	if twice, err := everynodeOnly.trimPod(once); err != nil || twice != once {
		t.Errorf("trimmed twice: %v, %v", twice, err)
	}
}

func TestTrimNodeKeepsWhatVerdictsDependOn(t *testing.T) {
	drawKey := rapid.SampledFrom([]string{"disk", "zone", corev1.TaintNodeNotReady})
	drawEffect := rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute})
	rapid.Check(t, func(t *rapid.T) {
		node := makeNode(drawNode.Draw(t, "node"))
		node.Labels = rapid.MapOf(drawKey, drawNode).Draw(t, "labels")
		node.Annotations = map[string]string{"note": "long"}
		node.Spec.Unschedulable = rapid.Bool().Draw(t, "unschedulable")
		node.Spec.Taints = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Taint {
			return corev1.Taint{Key: drawKey.Draw(t, "key"), Effect: drawEffect.Draw(t, "effect")}
		}), 0, 2).Draw(t, "taints")
		node.Status.Phase = corev1.NodeRunning
		set := makeDaemon("d")
		spec := &set.Spec.Template.Spec
		spec.NodeName = rapid.SampledFrom([]string{"", "", "n1"}).Draw(t, "nodeName")
		spec.NodeSelector = rapid.MapOfN(drawKey, drawNode, 0, 1).Draw(t, "selector")
		if rapid.Bool().Draw(t, "affinity") {
			spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: drawSelector(t)}}
		}

		before := node.DeepCopy()
		got := trimmed(t, trimNode, node)
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
		if diff := cmp.Diff(got, trimmed(t, trimNode, got)); diff != "" {
			t.Fatalf("trimmed twice:\n%s", diff)
		}
		if got.Status.Phase != "" || got.Annotations != nil {
			t.Fatalf("it keeps more than it needs: %+v", got)
		}
	})
}

// A tombstone, or anything else that comes to a transform, passes unchanged.
func TestTrimPassesOthers(t *testing.T) {
	for name, trim := range map[string]func(any) (any, error){"pod": everynodeOnly.trimPod, "node": trimNode} {
		if got, err := trim("something"); got != "something" || err != nil {
			t.Errorf("%s: trim = %v, %v", name, got, err)
		}
	}
}
