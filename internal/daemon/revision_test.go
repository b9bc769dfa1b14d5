package daemon

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestRevisionTellsTemplatesApart(t *testing.T) {
	grace := int64(5)
	templates := map[string]corev1.PodTemplateSpec{
		"empty":            {},
		"image":            {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "agent:1"}}}},
		"another image":    {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "agent:2"}}}},
		"a label":          {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}},
		"an annotation":    {ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}}},
		"a pointer field":  {Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}},
		"order of args":    {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Args: []string{"a", "b"}}}}},
		"order of args, 2": {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Args: []string{"b", "a"}}}}},
	}
	seen := map[string]string{}
	for name, template := range templates {
		got, err := Revision(&template)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%s and %s share revision %s", name, other, got)
		}
		seen[got] = name
		if problems := validation.IsValidLabelValue(got); len(problems) > 0 || got == "" {
			t.Errorf("%s: revision %q is no label value: %v", name, got, problems)
		}
	}
}

// Were the revision of a template to change with a release, every daemon would roll.
func TestRevisionIsFixed(t *testing.T) {
	got, err := Revision(&corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:1"}}},
	})
	if want := "be3wx5f537"; err != nil || got != want {
		t.Errorf("Revision = %q, %v, want %q", got, err, want)
	}
}

func TestRevisionOfACopyIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels")},
			Spec:       drawSpec(t),
		}
		before := template.DeepCopy()
		want, err := Revision(before)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Revision(template); err != nil || got != want {
			t.Fatalf("Revision = %q, %v, want %q", got, err, want)
		}
	})
}
