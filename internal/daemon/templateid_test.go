package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
)

func makeSet(native bool, template corev1.PodTemplateSpec, collisions *int32) *v1alpha1.DaemonSet {
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "uid-d", Annotations: map[string]string{appsv1.DeprecatedTemplateGeneration: "7"}},
		Spec:       v1alpha1.DaemonSetSpec{Template: template},
		Status:     v1alpha1.DaemonSetStatus{CollisionCount: collisions},
	}
	if native {
		set.SetGroupVersionKind(v1alpha1.AppsDaemonSetKind)
	}
	return set
}

// A native template is called what kube-controller-manager would call it.
func TestNativeTemplatesAreCalledAsUpstreamDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels")},
			Spec:       drawSpec(t),
		}
		collisions := rapid.Ptr(rapid.Int32Min(0), true).Draw(t, "collisions")
		id, err := Identify(makeSet(true, template, collisions))
		if err != nil {
			t.Fatal(err)
		}
		if want := controller.ComputeHash(&template, collisions); id.Revision != want || id.Record != "d-"+want {
			t.Fatalf("called %s and recorded as %s, want %s", id.Revision, id.Record, want)
		}
	})
}

func TestIdentify(t *testing.T) {
	one, zero := int32(1), int32(0)
	template := func(change ...func(*corev1.PodTemplateSpec)) corev1.PodTemplateSpec {
		template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}}}
		for _, c := range change {
			c(&template)
		}
		return template
	}
	defaulted := func(template *corev1.PodTemplateSpec) { template.Spec.RestartPolicy = corev1.RestartPolicyAlways }
	id := func(native bool, template corev1.PodTemplateSpec, collisions *int32) TemplateID {
		id, err := Identify(makeSet(native, template, collisions))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, native := range []bool{false, true} {
		plain := id(native, template(), nil)
		if diff := cmp.Diff(plain, id(native, template(), nil)); diff != "" {
			t.Errorf("native=%v: the same template is told otherwise:\n%s", native, diff)
		}
		if same := plain.Content == id(native, template(defaulted), nil).Content; same == native {
			t.Errorf("native=%v: a default that is written out is the same template: %v", native, same)
		}
		collided := id(native, template(), &one)
		if collided.Record == plain.Record || collided.Content != plain.Content {
			t.Errorf("native=%v: a collision changes %+v to %+v, want another record of the same template", native, plain, collided)
		}
		if renamed := collided.Revision != plain.Revision; renamed != native {
			t.Errorf("native=%v: a collision calls pods otherwise: %v", native, renamed)
		}
	}
	if own := id(false, template(), &zero); own.Record != "d-"+own.Revision {
		t.Errorf("no collision, and the record is %s", own.Record)
	}
}

func TestNativePod(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-n1"}}
	for _, native := range []bool{false, true} {
		set := makeSet(native, corev1.PodTemplateSpec{}, nil)
		pod := NewPod(NewTemplate(set, "r"), node, "x")
		if !metav1.IsControlledBy(pod, set) || pod.OwnerReferences[0].APIVersion != set.GVK().GroupVersion().String() {
			t.Errorf("native=%v: the owner is %+v", native, pod.OwnerReferences)
		}
		if got, has := pod.Labels["pod-template-generation"]; has != native || native && got != "7" {
			t.Errorf("native=%v: labels %v", native, pod.Labels)
		}
	}
}
