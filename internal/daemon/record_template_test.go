package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
)

// A template that was recorded comes back as it was, for daemons of both kinds: pods that are made from it have the
// same labels and specs, and it has the same identity.
func TestTemplateFromRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels"), Annotations: rapid.MapOf(drawKey, drawValue).Draw(t, "annotations")},
			Spec:       drawSpec(t),
		}
		pod.Spec.Containers = rapid.SliceOfN(rapid.Custom(drawContainer), 1, 3).Draw(t, "containers")
		w := makeWorkload(rapid.SampledFrom(kinds[:]).Draw(t, "kind"), pod, nil)
		id, err := Identify(w)
		if err != nil {
			t.Fatal(err)
		}
		want := NewTemplate(w, id.Revision)
		record, err := NewRevision(want, id.Record, 7, w.Annotations)
		if err != nil {
			t.Fatal(err)
		}
		other := *want // of the same daemon
		other.Revision, other.Generation, other.Pod = "another", "6", corev1.PodTemplateSpec{}
		got, err := TemplateFromRecord(&other, record)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("template (-want, +got):\n%s", diff)
		}
		if diff := cmp.Diff(want.PodLabels(), got.PodLabels()); diff != "" {
			t.Fatalf("labels of pods (-want, +got):\n%s", diff)
		}
		w.Template = &got.Pod
		if again, err := Identify(w); err != nil || again.Content != id.Content {
			t.Fatalf("it is another template then: %+v, was %+v, %v", again, id, err)
		}
	})
}

func drawContainer(t *rapid.T) corev1.Container {
	container := corev1.Container{Name: drawKey.Draw(t, "name"), Image: rapid.String().Draw(t, "image"), Args: rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "args")}
	if rapid.Bool().Draw(t, "limited") {
		quantity := resource.MustParse(rapid.SampledFrom([]string{"1", "100m", "1.5", "2Gi", "1e3"}).Draw(t, "quantity"))
		_ = quantity.String() // as it is once it was written
		container.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: quantity}
	}
	return container
}

// A record that has no label of its revision has its name for one, as for apps/v1; a field of a later release is not
// known here, nor is it in the DaemonSet as it is decoded here.
func TestTemplateFromRecordOfOthers(t *testing.T) {
	record := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: "d-7"},
		Data:       runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null},"spec":{"tomorrow":1,"containers":[{"name":"c"}]}}}}`)},
	}
	got, err := TemplateFromRecord(&Template{Kind: Everynode, Name: "d"}, record)
	want := &Template{Kind: Everynode, Name: "d", Revision: "d-7", Pod: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("template (-want, +got):\n%s%v", diff, err)
	}
}

// What is no template, or none that would be served, makes no pods.
func TestTemplateFromRecordRefuses(t *testing.T) {
	container := func(quantity string) string {
		return `{"spec":{"template":{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":` + quantity + `}}}]}}}}`
	}
	for name, data := range map[string]string{
		"nothing":              ``,
		"no template":          `{"spec":{}}`,
		"a template of null":   `{"spec":{"template":null}}`,
		"a text":               `{"spec":{"template":"x"}}`,
		"no JSON":              `{"spec":{"template":{`,
		"a large exponent":     container(`"1e30000000"`),
		"a tiny one":           container(`"1e-40000000"`),
		"a quantity of 1 MiB":  container(`"` + strings.Repeat("1", 1<<20) + `"`),
		"what is no quantity":  container(`"much"`),
		"too many tolerations": `{"spec":{"template":{"spec":{"tolerations":[{}` + strings.Repeat(`,{}`, MaxRequirements) + `]}}}}`,
		"too many elements":    `{"spec":{"template":{"spec":{"containers":[{"args":["a"` + strings.Repeat(`,"a"`, MaxElements) + `]}]}}}}`,
		"lists within lists":   `{"spec":{"template":` + strings.Repeat(`[`, 1<<20) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			record := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "d-1"}, Data: runtime.RawExtension{Raw: []byte(data)}}
			if got, err := TemplateFromRecord(&Template{Kind: Everynode, Name: "d"}, record); err == nil || !strings.Contains(err.Error(), "ControllerRevision d-1") {
				t.Errorf("template %+v, error %v, want one that names the record", got, err)
			}
		})
	}
}
