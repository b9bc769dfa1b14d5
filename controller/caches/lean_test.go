package caches

import (
	"testing"

	"github.com/everynode/everynode/controller/fixture"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/controller/model"
)

// encoded returns an object as an API server sends it.
func encoded(t rapid.TB, mediaType string, object runtime.Object) []byte {
	t.Helper()
	codecs := serializer.NewCodecFactory(scheme.Scheme)
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	data, err := runtime.Encode(codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion), object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decoded returns what an informer gets of it, before and after its transform.
func decoded(t rapid.TB, data []byte) runtime.Object {
	t.Helper()
	object, _, err := serializer.NewCodecFactory(cacheScheme).UniversalDeserializer().Decode(data, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// Only the fields of a pod that ObservePod reads are decoded.
func TestLeanPodHasTheObservedFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := fixture.DrawPod(t)
		var whole corev1.Pod
		raw, err := pod.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := whole.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		lean, ok := decoded(t, encoded(t, runtime.ContentTypeProtobuf, pod)).(*LeanPod)
		if !ok || lean.Spec.Containers != nil || lean.ManagedFields != nil {
			t.Fatalf("decoded %T: %+v, want a lean pod without unused fields", lean, lean)
		}
		if want, got := everynode.ObservePod(&whole), trimmedPod(t, lean); *want != *got {
			t.Fatalf("observed of the whole pod:\n%+v\nof the lean one:\n%+v", want, got)
		}
		list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more"}, Items: []corev1.Pod{*pod, *pod}}
		leans, ok := decoded(t, encoded(t, runtime.ContentTypeProtobuf, list)).(*LeanPodList)
		if !ok || cmp.Diff(list.ListMeta, leans.ListMeta) != "" || len(leans.Items) != 2 || cmp.Diff(leans.Items[1], untyped(lean.Pod)) != "" {
			t.Fatalf("the list is %+v, want two pods as they are alone", leans)
		}
	})
}

// untyped removes a pod's kind, which items of a list do not have.
func untyped(pod corev1.Pod) corev1.Pod {
	pod.TypeMeta = metav1.TypeMeta{}
	return pod
}

func trimmedPod(t rapid.TB, object any) *model.Pod {
	t.Helper()
	got, err := TrimPod(everynode)(object)
	if err != nil {
		t.Fatal(err)
	}
	return got.(*model.Pod)
}

// A server may answer in JSON, and bookmarks are pods too.
func TestLeanPodFromJSON(t *testing.T) {
	pod := fixture.Pod(fixture.Daemon("d"), fixture.Node("n1"), fixture.Ready(fixture.T0), fixture.Bound("n1"))
	lean := decoded(t, encoded(t, runtime.ContentTypeJSON, pod)).(*LeanPod)
	if seen := trimmedPod(t, lean); !seen.Ours() || seen.Revision == "" || !seen.Ready {
		t.Errorf("observed of %+v: %+v", lean, seen)
	}
	bookmark := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	lean = decoded(t, encoded(t, runtime.ContentTypeProtobuf, bookmark)).(*LeanPod)
	if lean.ResourceVersion != "7" || lean.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the bookmark is %+v", lean)
	}
}

// Decoding ends for any input, and truncated input is an error.
func TestLeanPodOfInvalidData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, err := fixture.DrawPod(t).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var whole corev1.Pod
		cut := raw[:rapid.IntRange(0, len(raw)).Draw(t, "cut")]
		if got, want := new(LeanPod).Unmarshal(cut), whole.Unmarshal(cut); (got == nil) && (want != nil) {
			t.Fatalf("Unmarshal of %x is no error; of a whole pod it is %v", cut, want)
		}
		_ = new(LeanPod).Unmarshal(rapid.SliceOf(rapid.Byte()).Draw(t, "noise"))
	})
}

func TestLeanPodsAreCopied(t *testing.T) {
	pod, list := &LeanPod{*fixture.Pod(fixture.Daemon("d"), fixture.Node("n1"))}, &LeanPodList{}
	if again, ok := pod.DeepCopyObject().(*LeanPod); !ok || again == pod || cmp.Diff(pod, again) != "" {
		t.Errorf("a copy of a lean pod is %+v", again)
	}
	if _, ok := list.DeepCopyObject().(*LeanPodList); !ok {
		t.Error("a copy of a lean list is not a lean list")
	}
}
