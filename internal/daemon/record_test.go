package daemon

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	upstream "k8s.io/kubernetes/pkg/controller/daemon"
	"pgregory.net/rapid"
)

func TestRevisionName(t *testing.T) {
	if got := RevisionName("agent", "be3wx5f537"); got != "agent-be3wx5f537" {
		t.Errorf("RevisionName = %q", got)
	}
	for _, long := range []string{strings.Repeat("a", 253), strings.Repeat("a", 241) + ".aaaaaa", strings.Repeat("a", 240) + "-.aaaa"} {
		got := RevisionName(long, "be3wx5f537")
		if problems := validation.IsDNS1123Subdomain(got); len(problems) > 0 || !strings.HasSuffix(got, "a-be3wx5f537") {
			t.Errorf("RevisionName(%q) = %q: %v", long, got, problems)
		}
	}
}

func TestNewRevision(t *testing.T) {
	yes := true
	template := &Template{
		Kind:      Everynode,
		Owner:     metav1.OwnerReference{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "d", UID: "uid-d", Controller: &yes, BlockOwnerDeletion: &yes},
		Namespace: "ns", Name: "d", Revision: "rev",
		Pod: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "d"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
		},
	}
	before := template.Pod.DeepCopy()
	got, err := NewRevision(template, "d-rev", 7, map[string]string{"kubernetes.io/change-cause": "a fix", "other": "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "d-rev", Labels: map[string]string{"app": "d", "controller-revision-hash": "rev"},
			Annotations: map[string]string{"kubernetes.io/change-cause": "a fix"}, OwnerReferences: []metav1.OwnerReference{template.Owner},
		},
		Data:     runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"image":"image:1","name":"c","resources":{}}]}}}}`)},
		Revision: 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ControllerRevision (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, &template.Pod); diff != "" {
		t.Errorf("the template changed:\n%s", diff)
	}

	template.Pod.Labels = nil
	got, err = NewRevision(template, "d-rev", 1, nil)
	if err != nil || got.Labels["controller-revision-hash"] != "rev" || got.Annotations != nil {
		t.Errorf("without labels: %+v, %v", got, err)
	}
}

// What upstream reads is what we write, and what we write identifies the template.
func TestRecordedTemplate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: rapid.MapOf(drawKey, drawValue).Draw(t, "labels"), Annotations: rapid.MapOf(drawKey, rapid.String()).Draw(t, "annotations")},
			Spec:       drawSpec(t),
		}
		data, err := recordTemplate(&template)
		if err != nil {
			t.Fatal(err)
		}
		same, err := upstream.Match(&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}, &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}})
		if err != nil || !same {
			t.Fatalf("upstream does not know its template in %s: %v", data, err)
		}
		want, err := Revision(&template)
		if got := Everynode.content(data); err != nil || got != want {
			t.Fatalf("content %q of %s, want %q: %v", got, data, want, err)
		}
		id, err := Identify(makeWorkload(Apps, template, nil))
		if got := Apps.content(data); err != nil || got != id.Content {
			t.Fatalf("content for apps/v1 %q of %s, want %q: %v", got, data, id.Content, err)
		}
	})
}

// A float cannot hold such numbers, and upstream keeps them too.
func TestRecordedTemplateKeepsLargeNumbers(t *testing.T) {
	large := int64(math.MaxInt64)
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{{TolerationSeconds: &large}}}}
	data, err := recordTemplate(&template)
	if err != nil || !strings.Contains(string(data), "9223372036854775807") {
		t.Errorf("recorded as %s, %v", data, err)
	}
	same, err := upstream.Match(&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}, &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}})
	if err != nil || !same {
		t.Errorf("upstream does not know its template in %s: %v", data, err)
	}
}

// Another version of Kubernetes may have written the same record otherwise. What it wrote and we do
// not know must not be taken for the same.
func TestContentOfOtherVersions(t *testing.T) {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "d"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "<image>"}}},
	}
	data, err := recordTemplate(&template)
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identify(makeWorkload(Apps, template, nil))
	if err != nil || id.Content == "" || id.Content != Apps.content(data) {
		t.Fatalf("its own record has content %q, want %+v: %v", Apps.content(data), id, err)
	}
	for name, test := range map[string]struct {
		old, changed string
		wantSame     bool
	}{
		"1.33 and before":          {`"metadata":{`, `"metadata":{"creationTimestamp":null,`, true},
		"a zero value left out":    {`,"resources":{}`, ``, true},
		"a field of the future":    {`"resources":{}`, `"resources":{},"tomorrow":1`, false},
		"the future, in the patch": {`"spec":{"template"`, `"tomorrow":1,"spec":{"template"`, false},
		"another value":            {`"name":"c"`, `"name":"d"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := strings.Replace(string(data), test.old, test.changed, 1)
			if got := Apps.content([]byte(other)); other == string(data) || got == "" || (got == id.Content) != test.wantSame {
				t.Errorf("%s has content %q, that of %s is %q", other, got, data, id.Content)
			}
		})
	}
}

func TestContentOfSomethingElse(t *testing.T) {
	for _, data := range []string{"", "{}", "null", "[]", `{"spec":{}}`, `{"spec":{"template":null}}`, `{"spec":{"template":"x"}}`, `{"data":{"template":{}}}`} {
		if got := Everynode.content([]byte(data)); got != "" {
			t.Errorf("content of %q is %q, want none", data, got)
		}
	}
}

func TestObserveRevision(t *testing.T) {
	template := &Template{Kind: Everynode, Namespace: "ns", Name: "d", Revision: "label"}
	object, err := NewRevision(template, "d-label", 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	object.UID, object.ResourceVersion = "uid", "5"
	want := Record{Name: "d-label", UID: "uid", ResourceVersion: "5", Number: 3, Revision: "label"}
	if diff := cmp.Diff(want, ObserveRevision(object)); diff != "" {
		t.Errorf("record (-want, +got):\n%s", diff)
	}
	object.Labels, object.DeletionTimestamp = nil, &metav1.Time{Time: t0}
	want.Revision, want.Terminating = "d-label", true
	if diff := cmp.Diff(want, ObserveRevision(object)); diff != "" {
		t.Errorf("record without a label (-want, +got):\n%s", diff)
	}
}

// Whatever is written into the data of a ControllerRevision, reading it costs no more than its length: for everynode.dev
// it is no template, and for apps/v1 it is identified by its bytes, as its own templates are.
func TestContentOfHostileData(t *testing.T) {
	record := func(quantity string) []byte {
		return []byte(`{"spec":{"template":{"$patch":"replace","metadata":{},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":` + quantity + `}}}]}}}}`)
	}
	if Everynode.content(record(`"1"`)) == "" {
		t.Error("an ordinary record has no content")
	}
	seen := map[string]bool{}
	for _, quantity := range []string{`"1e-40000000"`, `"1e30000000"`, `"1e99999999999999999999"`, `"` + strings.Repeat("1", 1<<20) + `"`} {
		contents := ContentsOf(record(quantity))
		if got := contents.For(Everynode); got != "" || contents.Readable() {
			t.Errorf("%.30s has content %s", quantity, got)
		}
		seen[contents.For(Apps)] = true
	}
	if len(seen) != 4 || seen[""] {
		t.Errorf("for apps/v1: %v, want four contents", seen)
	}
}

// A template of apps/v1 with a quantity that is not safe to decode is found by its record all the same.
func TestIdentifyAppsWithLargeExponent(t *testing.T) {
	w := FromApps(&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1e300")}}}},
	}}}})
	id, err := Identify(w)
	if err != nil {
		t.Fatal(err)
	}
	data, err := recordTemplate(w.Template)
	if err != nil {
		t.Fatal(err)
	}
	if got := Apps.content(data); got != id.Content {
		t.Errorf("the record has content %s, its template %s", got, id.Content)
	}
}
