package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // what the API server applies patches with
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// create is the admission request for a pod that is being created.
func create(raw []byte) admission.Request {
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "uid-request", Operation: admissionv1.Create, Kind: podKind, Resource: podResource, Namespace: "ns",
		Object: runtime.RawExtension{Raw: raw},
	}}
}

func encode(t testing.TB, object any) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// apply does to a raw object what the API server does with a response: nothing without a patch.
func apply(raw []byte, response admission.Response) ([]byte, error) {
	if len(response.Patches) == 0 {
		return raw, nil
	}
	encoded, err := json.Marshal(response.Patches)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	return patch.Apply(raw)
}

// What the patch makes of the raw object, whose fields this program need not know. Spaces and
// the order of keys do not matter.
func TestPlacementOfRawPods(t *testing.T) {
	tests := map[string]struct{ pod, want string }{
		"without nodeName it is left alone": {
			pod:  `{"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"everynode.dev/placement"}]}}`,
			want: `{"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"everynode.dev/placement"}]}}`,
		},
		"nodeName becomes a pin, the gate goes": {
			pod: `{"metadata":{"name":"p"},"spec":{"nodeName":"n1","schedulingGates":[{"name":"everynode.dev/placement"}]}}`,
			want: `{"metadata":{"name":"p","annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{
				"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
					{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
		"every term gets the pin, preferences and the gates of others stay": {
			pod: `{"metadata":{"annotations":{"a/b~c":"d"}},"spec":{"nodeName":"n1",
				"schedulingGates":[{"name":"example.com/a"},{"name":"everynode.dev/placement"},{"name":"example.com/b"}],
				"affinity":{"podAntiAffinity":{},"nodeAffinity":{
					"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}],
					"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
						{"matchExpressions":[{"key":"disk","operator":"Exists"}]},
						{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]},
						{"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["n2"]}]}]}}}}}`,
			want: `{"metadata":{"annotations":{"a/b~c":"d","everynode.dev/placed-by":"webhook"}},"spec":{
				"schedulingGates":[{"name":"example.com/a"},{"name":"example.com/b"}],
				"affinity":{"podAntiAffinity":{},"nodeAffinity":{
					"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}],
					"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
						{"matchExpressions":[{"key":"disk","operator":"Exists"}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]},
						{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]},
						{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]},{"key":"metadata.name","operator":"NotIn","values":["n2"]}]}]}}}}}`,
		},
		"a daemon's pod goes to our scheduler": {
			pod: `{"metadata":{"ownerReferences":[{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","name":"d","uid":"u","controller":true}]},
				"spec":{"nodeName":"n1","schedulerName":"default-scheduler"}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"},
				"ownerReferences":[{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","name":"d","uid":"u","controller":true}]},
				"spec":{"schedulerName":"everynode-scheduler","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
					{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
		// The fields of a later Kubernetes are not this program's to drop.
		"fields that this program does not know stay": {
			pod: `{"future":{"a":[1]},"metadata":{"name":"p","future":true},"spec":{"nodeName":"n1","future":{"deep":{"er":null}},
				"containers":[{"name":"c","future":1.5}],
				"affinity":{"future":"x","nodeAffinity":{"future":"y","requiredDuringSchedulingIgnoredDuringExecution":{"future":"z","nodeSelectorTerms":[
					{"future":1,"matchExpressions":[{"key":"disk","operator":"Exists","future":2}]}]}}}}}`,
			want: `{"future":{"a":[1]},"metadata":{"name":"p","future":true,"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"future":{"deep":{"er":null}},
				"containers":[{"name":"c","future":1.5}],
				"affinity":{"future":"x","nodeAffinity":{"future":"y","requiredDuringSchedulingIgnoredDuringExecution":{"future":"z","nodeSelectorTerms":[
					{"future":1,"matchExpressions":[{"key":"disk","operator":"Exists","future":2}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
		"empty and null parents": {
			pod: `{"metadata":{"annotations":null},"spec":{"nodeName":"n1","affinity":{"nodeAffinity":null}}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"affinity":{"nodeAffinity":{
				"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := placement{}.Handle(t.Context(), create([]byte(test.pod)))
			if !response.Allowed || len(response.Warnings) > 0 {
				t.Fatalf("allowed %v, result %v, warnings %q; want it allowed in silence", response.Allowed, response.Result, response.Warnings)
			}
			got, err := apply([]byte(test.pod), response)
			if err != nil {
				t.Fatalf("applying the patch %v: %v", response.Patches, err)
			}
			if diff := cmp.Diff(decoded(t, []byte(test.want)), decoded(t, got)); diff != "" {
				t.Errorf("pod (-want, +got):\n%s", diff)
			}
			if again := (placement{}).Handle(t.Context(), create(got)); !again.Allowed || len(again.Patches) > 0 {
				t.Errorf("a second pass: allowed %v, patch %v; want no patch", again.Allowed, again.Patches)
			}
		})
	}
}

func decoded(t testing.TB, raw []byte) (object any) {
	t.Helper()
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatalf("decoding %s: %v", raw, err)
	}
	return object
}

func TestPlacementRefuses(t *testing.T) {
	contradiction := &daemon.ContradictoryPinError{NodeName: "n1", Pinned: "n2"}
	tests := map[string]struct {
		pod         string
		wantCode    int32
		wantMessage string // a part of it
	}{
		"a pod pinned elsewhere": {
			pod: `{"spec":{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
				{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}]}}}}}`,
			wantCode: http.StatusForbidden, wantMessage: contradiction.Error(),
		},
		"nothing":            {pod: ``, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"half a pod":         {pod: `{"spec":{"nodeName":`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"a list":             {pod: `[]`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"a name as a number": {pod: `{"spec":{"nodeName":1}}`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := placement{}.Handle(t.Context(), create([]byte(test.pod)))
			if response.Allowed || len(response.Patches) > 0 {
				t.Fatalf("allowed %v, patch %v; want a refusal", response.Allowed, response.Patches)
			}
			if response.Result.Code != test.wantCode || !strings.Contains(response.Result.Message, test.wantMessage) {
				t.Errorf("result %d %q, want %d with %q", response.Result.Code, response.Result.Message, test.wantCode, test.wantMessage)
			}
		})
	}
}

// A wrong configuration costs a warning and no more (S7): neither a patch nor a refusal, whatever
// the object.
func TestPlacementLeavesOtherRequests(t *testing.T) {
	tests := map[string]struct {
		change func(*admission.Request)
		want   string // the warning; "" for one that is served
	}{
		"CREATE of a pod":        {change: func(*admission.Request) {}},
		"UPDATE":                 {change: func(r *admission.Request) { r.Operation = admissionv1.Update }, want: "take UPDATE of pods out of its configuration"},
		"DELETE":                 {change: func(r *admission.Request) { r.Operation = admissionv1.Delete }, want: "take DELETE of pods out of its configuration"},
		"CONNECT":                {change: func(r *admission.Request) { r.Operation = admissionv1.Connect }, want: "take CONNECT of pods out of its configuration"},
		"CREATE of a binding":    {change: func(r *admission.Request) { r.SubResource = "binding" }, want: "take CREATE of pods out of its configuration"},
		"CREATE of a Service":    {change: func(r *admission.Request) { r.Resource.Resource = "services" }, want: "take CREATE of services out of its configuration"},
		"a pod of another group": {change: func(r *admission.Request) { r.Resource.Group = "metrics.k8s.io" }, want: "take CREATE of pods out of its configuration"},
		"a later pod":            {change: func(r *admission.Request) { r.Resource.Version = "v2" }, want: "take CREATE of pods out of its configuration"},
	}
	for name, test := range tests {
		for kind, raw := range map[string]string{"a pod": `{"spec":{"nodeName":"n1"}}`, "nothing": ``} {
			if test.want == "" && raw == "" {
				continue
			}
			t.Run(name+" with "+kind, func(t *testing.T) {
				request := create([]byte(raw))
				test.change(&request)
				response := placement{}.Handle(t.Context(), request)
				if !response.Allowed {
					t.Errorf("refused: %v", response.Result)
				}
				if served := len(response.Patches) > 0; served != (test.want == "") {
					t.Errorf("patch %v, want one: %v", response.Patches, test.want == "")
				}
				if warnings := strings.Join(response.Warnings, "; "); !strings.Contains(warnings, test.want) || (warnings == "") != (test.want == "") {
					t.Errorf("warnings %q, want %q", warnings, test.want)
				}
			})
		}
	}
}

// The patch is daemon.Rewrite, for any pod.
func TestPatchIsRewrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := drawPod(t)
		raw, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		want := pod.DeepCopy()
		changed, rewriteErr := daemon.Rewrite(want, v1alpha1.PlacedByWebhook)

		response := placement{}.Handle(t.Context(), create(raw))
		if response.Allowed != (rewriteErr == nil) || (len(response.Patches) > 0) != changed {
			t.Fatalf("allowed %v, patch %v; Rewrite changed %v, error %v\n%s", response.Allowed, response.Patches, changed, rewriteErr, raw)
		}
		patched, err := apply(raw, response)
		if err != nil {
			t.Fatalf("applying the patch %v: %v\n%s", response.Patches, err, raw)
		}
		got := &corev1.Pod{}
		if err := json.Unmarshal(patched, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("pod (-Rewrite, +patched):\n%s\n%s", diff, raw)
		}
		if again := (placement{}).Handle(t.Context(), create(patched)); len(again.Patches) > 0 {
			t.Fatalf("a second pass patches: %v", again.Patches)
		}
		// Our scheduler takes a pod whose target it can tell. Terms without requirements match no
		// node: a pod that has no others can never run, pinned or not.
		if target, ok := daemon.Target(got); changed && !matchesNothing(pod) && (!ok || target != pod.Spec.NodeName) {
			t.Fatalf("the placed pod's target is %q, %v, want %q\n%s", target, ok, pod.Spec.NodeName, raw)
		}
	})
}

// matchesNothing says whether a pod's required terms are all without requirements.
func matchesNothing(pod *corev1.Pod) bool {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	terms := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	return !slices.ContainsFunc(terms, func(term corev1.NodeSelectorTerm) bool {
		return len(term.MatchExpressions)+len(term.MatchFields) > 0
	})
}

var (
	drawNode  = rapid.SampledFrom([]string{"n1", "n2"})
	drawField = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{
			Key:      rapid.SampledFrom([]string{metav1.ObjectNameField, "disk"}).Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists}).Draw(t, "operator"),
			Values:   rapid.SliceOfN(drawNode, 0, 2).Draw(t, "values"),
		}
	})
	drawTerm = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{
			MatchExpressions: rapid.SliceOfN(drawField, 0, 2).Draw(t, "matchExpressions"),
			MatchFields:      rapid.SliceOfN(drawField, 0, 2).Draw(t, "matchFields"),
		}
	})
	drawOwner = rapid.Custom(func(t *rapid.T) metav1.OwnerReference {
		owner := metav1.OwnerReference{
			APIVersion: rapid.SampledFrom([]string{"everynode.dev/v1alpha1", "everynode.dev/v1", "apps/v1", "apps", "apps.example.com/v1", "everynode.dev.example.com/v1", "v1"}).Draw(t, "apiVersion"),
			Kind:       rapid.SampledFrom([]string{"DaemonSet", "ReplicaSet"}).Draw(t, "kind"),
			Name:       "owner", UID: types.UID(rapid.StringMatching(`[a-f0-9]{4}`).Draw(t, "uid")),
		}
		if rapid.Bool().Draw(t, "says whether it is the controller") {
			owner.Controller = new(rapid.Bool().Draw(t, "controller"))
		}
		return owner
	})
	drawGate = rapid.Custom(func(t *rapid.T) corev1.PodSchedulingGate {
		return corev1.PodSchedulingGate{Name: rapid.SampledFrom([]string{v1alpha1.PlacementGate, "example.com/a", "example.com/b"}).Draw(t, "gate")}
	})
)

// drawPod draws from the fields that the rewrite reads and writes, with some beside them.
func drawPod(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "p",
			Annotations:     rapid.MapOfN(rapid.SampledFrom([]string{v1alpha1.PlacedByAnnotation, corev1.MirrorPodAnnotationKey, "a~1b/c", ""}), rapid.String(), 0, 3).Draw(t, "annotations"),
			OwnerReferences: rapid.SliceOfN(drawOwner, 0, 2).Draw(t, "owners"),
		},
		Spec: corev1.PodSpec{
			NodeName:        rapid.SampledFrom([]string{"", "n1", "n1", "n2", "node/with~strange.name"}).Draw(t, "nodeName"),
			SchedulerName:   rapid.SampledFrom([]string{"", "default-scheduler", v1alpha1.SchedulerName}).Draw(t, "schedulerName"),
			SchedulingGates: rapid.SliceOfN(drawGate, 0, 4).Draw(t, "gates"),
			Containers:      []corev1.Container{{Name: "c", Image: rapid.String().Draw(t, "image")}},
		},
	}
	if depth := rapid.IntRange(0, 3).Draw(t, "how much affinity"); depth > 0 {
		pod.Spec.Affinity = &corev1.Affinity{}
		if depth > 1 {
			pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: drawTerm.Draw(t, "preference")}},
			}
		}
		if depth > 2 {
			pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
				NodeSelectorTerms: rapid.SliceOfN(drawTerm, 0, 3).Draw(t, "terms"),
			}
		}
	}
	return pod
}

// review is the body that the API server posts.
func review(t testing.TB, request admission.Request) []byte {
	return encode(t, admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &request.AdmissionRequest,
	})
}

func newHandler(t testing.TB) http.Handler {
	t.Helper()
	handler, err := Handler(logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// post sends a body as the API server does.
func post(handler http.Handler, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, PlacementPath, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestHandlerAnswersTheReview(t *testing.T) {
	raw := []byte(`{"spec":{"nodeName":"n1"}}`)
	recorder := post(newHandler(t), review(t, create(raw)))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); recorder.Code != http.StatusOK || err != nil {
		t.Fatalf("status %d, body %s: %v", recorder.Code, recorder.Body, err)
	}
	patch := got.Response.Patch
	got.Response.Patch = nil
	want := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{
			UID: "uid-request", Allowed: true, PatchType: new(admissionv1.PatchTypeJSONPatch), Result: &metav1.Status{Code: http.StatusOK},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("review (-want, +got):\n%s", diff)
	}
	if operations, err := jsonpatch.DecodePatch(patch); err != nil || len(operations) == 0 {
		t.Errorf("patch %s: %v", patch, err)
	}
}

// Whatever is posted, the answer is an AdmissionReview or an HTTP error, and nothing panics: the
// library under the handler turns a panic into an answer, which is looked for here.
func FuzzHandler(f *testing.F) {
	handler := newHandler(f)
	pinnedElsewhere := `{"spec":{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}]}}}}}`
	for _, raw := range []string{
		`{"spec":{"nodeName":"n1","schedulingGates":[{"name":"everynode.dev/placement"}]}}`, pinnedElsewhere, `{"spec":{}}`, `{}`, `null`,
		`{"spec":{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{},{"matchFields":[{"key":"metadata.name","operator":"In"}]}]}}}}}`,
	} {
		f.Add(review(f, create([]byte(raw))))
	}
	for _, body := range []string{
		``, `{`, `null`, `[]`, `{}`, `{"request":null}`, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`,
		`{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":{"spec":{"nodeName":"n1"}}}}`,
		`{"apiVersion":"v1","kind":"Pod","spec":{"nodeName":"n1"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		recorder := post(handler, body)
		if recorder.Code >= http.StatusBadRequest {
			return
		}
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || recorder.Code != http.StatusOK || got.Response == nil {
			t.Fatalf("status %d, error %v, body %q", recorder.Code, err, recorder.Body)
		}
		response := got.Response
		if response.Result == nil || response.Result.Code >= http.StatusInternalServerError || strings.Contains(response.Result.Message, "panic") {
			t.Fatalf("result %+v", response.Result)
		}
		if !response.Allowed && response.Result.Code < http.StatusBadRequest {
			t.Fatalf("refused with %+v", response.Result)
		}
		if (len(response.Patch) > 0) != (response.PatchType != nil) || (len(response.Patch) > 0 && !response.Allowed) {
			t.Fatalf("allowed %v, patch %s of type %v", response.Allowed, response.Patch, response.PatchType)
		}
		if len(response.Patch) == 0 {
			return
		}
		// As the API server sends a pod, which encodes it from its own types, the patch applies.
		var asked struct {
			Request struct{ Object corev1.Pod }
		}
		if err := json.Unmarshal(body, &asked); err != nil {
			return // keys that differ in case, or twice: the decoders need not agree
		}
		canonical := asked.Request.Object
		placed := post(handler, review(t, create(encode(t, canonical))))
		if err := json.Unmarshal(placed.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Response.Patch) == 0 {
			return
		}
		patch, err := jsonpatch.DecodePatch(got.Response.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := patch.Apply(encode(t, canonical)); err != nil {
			t.Fatalf("applying %s: %v", got.Response.Patch, err)
		}
	})
}

// One admission, from body to body, of a pod of ordinary size.
func BenchmarkHandler(b *testing.B) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "agent-n1-abc", Labels: map[string]string{"app": "agent", "controller-revision-hash": "abc"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "agent", UID: "uid-d", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName: "n1", SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.PlacementGate}},
			Containers: []corev1.Container{{Name: "agent", Image: "registry.example.com/agent:v1", Args: []string{"--verbose"}, Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}},
		},
	}
	daemon.AddTolerations(&pod.Spec)
	handler, body := newHandler(b), review(b, create(encode(b, pod)))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if recorder := post(handler, body); recorder.Code != http.StatusOK {
			b.Fatalf("status %d", recorder.Code)
		}
	}
}
