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

// makeWorkload is DaemonSet ns/d of a kind.
func makeWorkload(kind Kind, template corev1.PodTemplateSpec, collisions *int32) *Workload {
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "uid-d", Annotations: map[string]string{appsv1.DeprecatedTemplateGeneration: "7"}},
		Spec:       v1alpha1.DaemonSetSpec{Template: template},
		Status:     v1alpha1.DaemonSetStatus{CollisionCount: collisions},
	}
	if kind == Apps {
		return FromApps(set.ToApps())
	}
	return FromEverynode(set)
}

// A template of apps/v1 has the revision that kube-controller-manager would give it.
func TestAppsRevisionsAreUpstreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels")},
			Spec:       drawSpec(t),
		}
		collisions := rapid.Ptr(rapid.Int32Min(0), true).Draw(t, "collisions")
		id, err := Identify(makeWorkload(Apps, template, collisions))
		if err != nil {
			t.Fatal(err)
		}
		if want := controller.ComputeHash(&template, collisions); id.Revision != want || id.Record != "d-"+want {
			t.Fatalf("revision %s, record %s, want %s", id.Revision, id.Record, want)
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
	id := func(kind Kind, template corev1.PodTemplateSpec, collisions *int32) TemplateID {
		id, err := Identify(makeWorkload(kind, template, collisions))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for kind, bytesCount := range map[Kind]bool{Everynode: false, Apps: true} {
		name := kind.GroupVersionKind().Group
		plain := id(kind, template(), nil)
		if diff := cmp.Diff(plain, id(kind, template(), nil)); diff != "" {
			t.Errorf("%s: the same template has another identity:\n%s", name, diff)
		}
		if same := plain.Content == id(kind, template(defaulted), nil).Content; same == bytesCount {
			t.Errorf("%s: a default that is written out is the same template: %v", name, same)
		}
		collided := id(kind, template(), &one)
		if collided.Record == plain.Record || collided.Content != plain.Content {
			t.Errorf("%s: a collision changes %+v to %+v, want another record of the same template", name, plain, collided)
		}
		if renamed := collided.Revision != plain.Revision; renamed != bytesCount {
			t.Errorf("%s: a collision gives pods another revision: %v", name, renamed)
		}
	}
	if own := id(Everynode, template(), &zero); own.Record != "d-"+own.Revision {
		t.Errorf("no collision, and the record is %s", own.Record)
	}
}
