package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the library with which the API server applies patches
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// create is the admission request for a pod that is being created.
func create(raw []byte) *request {
	return &request{UID: "uid-request", Operation: admissionv1.Create, Resource: podResource, Namespace: "ns", Object: raw}
}

// placed is the answer of the placement webhook to the creation of a pod.
func placed(raw []byte) *admissionv1.AdmissionResponse {
	response, _ := placement{}.answer(context.Background(), create(raw))
	return response
}

func encode(t testing.TB, object any) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// apply applies a response to a raw object as the API server does: without a patch the object stays unchanged.
func apply(raw []byte, response *admissionv1.AdmissionResponse) ([]byte, error) {
	if len(response.Patch) == 0 {
		return raw, nil
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(raw)
}

// The effect of the patch on raw objects, including fields that this program does not know. Spaces and the
// order of keys do not matter.
func TestPlacementOfRawPods(t *testing.T) {
	tests := map[string]struct{ pod, want string }{
		"without nodeName it stays unchanged": {
			pod:  `{"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"everynode.dev/placement"}]}}`,
			want: `{"metadata":{"name":"p"},"spec":{"schedulingGates":[{"name":"everynode.dev/placement"}]}}`,
		},
		"nodeName becomes a pin, the gate is removed": {
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
		// Fields of later Kubernetes releases must not be dropped.
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
		"removing a gate keeps the indices of the others valid": {
			pod: `{"metadata":{},"spec":{"nodeName":"n1","schedulingGates":[{"name":"everynode.dev/placement"},{"name":"a","future":1},
				{"name":"everynode.dev/placement"},{"name":"a","future":2},{"name":"everynode.dev/placement"}]}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"schedulingGates":[{"name":"a","future":1},{"name":"a","future":2}],
				"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
					{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
		"a term without requirements stays, one with null fields gets the pin": {
			pod: `{"metadata":{"annotations":{}},"spec":{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
				{},null,{"matchFields":null,"matchExpressions":[{"key":"disk","operator":"Exists"}]},{"matchFields":[],"matchExpressions":[{"key":"disk","operator":"Exists"}]}]}}}}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
				{},null,
				{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}],"matchExpressions":[{"key":"disk","operator":"Exists"}]},
				{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}],"matchExpressions":[{"key":"disk","operator":"Exists"}]}]}}}}}`,
		},
		"missing terms stay for the API server to refuse": {
			pod: `{"metadata":{},"spec":{"nodeName":"n1","affinity":{"future":1,"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":null}}}}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"affinity":{"future":1,"nodeAffinity":{
				"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":null}}}}}`,
		},
		"a pod without metadata, which no API server sends": {
			pod: `{"spec":{"nodeName":"n1"}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"affinity":{"nodeAffinity":{
				"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
		"keys that differ in case are other keys": {
			pod:  `{"metadata":{},"spec":{"nodename":"n1","NodeName":"n2"}}`,
			want: `{"metadata":{},"spec":{"nodename":"n1","NodeName":"n2"}}`,
		},
		"empty and null parents": {
			pod: `{"metadata":{"annotations":null},"spec":{"nodeName":"n1","affinity":{"nodeAffinity":null}}}`,
			want: `{"metadata":{"annotations":{"everynode.dev/placed-by":"webhook"}},"spec":{"affinity":{"nodeAffinity":{
				"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := placed([]byte(test.pod))
			if !response.Allowed || len(response.Warnings) > 0 {
				t.Fatalf("allowed %v, result %v, warnings %q; want it allowed without warnings", response.Allowed, response.Result, response.Warnings)
			}
			got, err := apply([]byte(test.pod), response)
			if err != nil {
				t.Fatalf("applying the patch %s: %v", string(response.Patch), err)
			}
			if diff := cmp.Diff(decoded(t, []byte(test.want)), decoded(t, got)); diff != "" {
				t.Errorf("pod (-want, +got):\n%s", diff)
			}
			if again := placed(got); !again.Allowed || len(again.Patch) > 0 {
				t.Errorf("a second pass: allowed %v, patch %s; want no patch", again.Allowed, string(again.Patch))
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
		"a pod of too many terms": {
			pod:      `{"spec":{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{}` + strings.Repeat(`,{}`, 25000) + `]}}}}}`,
			wantCode: http.StatusForbidden, wantMessage: "label the nodes and select them by the label",
		},
		"nothing":            {pod: ``, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"half a pod":         {pod: `{"spec":{"nodeName":`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"a list":             {pod: `[]`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
		"a name as a number": {pod: `{"spec":{"nodeName":1}}`, wantCode: http.StatusBadRequest, wantMessage: "decoding the pod: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := placed([]byte(test.pod))
			if response.Allowed || len(response.Patch) > 0 {
				t.Fatalf("allowed %v, patch %s; want a refusal", response.Allowed, string(response.Patch))
			}
			if response.Result.Code != test.wantCode || !strings.Contains(response.Result.Message, test.wantMessage) {
				t.Errorf("result %d %q, want %d with %q", response.Result.Code, response.Result.Message, test.wantCode, test.wantMessage)
			}
		})
	}
}

// A wrong configuration only causes a warning (S7): neither a patch nor a refusal, for every object.
func TestPlacementLeavesOtherRequests(t *testing.T) {
	tests := map[string]struct {
		change func(*request)
		want   string // the warning; "" for one that is served
	}{
		"CREATE of a pod":        {change: func(*request) {}},
		"UPDATE":                 {change: func(r *request) { r.Operation = admissionv1.Update }, want: "remove UPDATE of pods from its configuration"},
		"DELETE":                 {change: func(r *request) { r.Operation = admissionv1.Delete }, want: "remove DELETE of pods from its configuration"},
		"CONNECT":                {change: func(r *request) { r.Operation = admissionv1.Connect }, want: "remove CONNECT of pods from its configuration"},
		"CREATE of a binding":    {change: func(r *request) { r.SubResource = "binding" }, want: "remove CREATE of pods from its configuration"},
		"CREATE of a Service":    {change: func(r *request) { r.Resource.Resource = "services" }, want: "remove CREATE of services from its configuration"},
		"a pod of another group": {change: func(r *request) { r.Resource.Group = "metrics.k8s.io" }, want: "remove CREATE of pods from its configuration"},
		"a later pod":            {change: func(r *request) { r.Resource.Version = "v2" }, want: "remove CREATE of pods from its configuration"},
	}
	for name, test := range tests {
		for kind, raw := range map[string]string{"a pod": `{"spec":{"nodeName":"n1"}}`, "nothing": ``} {
			if test.want == "" && raw == "" {
				continue
			}
			t.Run(name+" with "+kind, func(t *testing.T) {
				request := create([]byte(raw))
				test.change(request)
				response, _ := (placement{}).answer(t.Context(), request)
				if !response.Allowed {
					t.Errorf("refused: %v", response.Result)
				}
				if served := len(response.Patch) > 0; served != (test.want == "") {
					t.Errorf("patch %s, want one: %v", string(response.Patch), test.want == "")
				}
				if warnings := strings.Join(response.Warnings, "; "); !strings.Contains(warnings, test.want) || (warnings == "") != (test.want == "") {
					t.Errorf("warnings %q, want %q", warnings, test.want)
				}
			})
		}
	}
}

// The patch equals daemon.Rewrite, for any pod.
func TestPatchIsRewrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := drawPod(t)
		raw, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		want := pod.DeepCopy()
		changed, rewriteErr := daemon.Rewrite(want, v1alpha1.PlacedByWebhook)

		response := placed(raw)
		if response.Allowed != (rewriteErr == nil) || (len(response.Patch) > 0) != changed {
			t.Fatalf("allowed %v, patch %s; Rewrite changed %v, error %v\n%s", response.Allowed, string(response.Patch), changed, rewriteErr, raw)
		}
		patched, err := apply(raw, response)
		if err != nil {
			t.Fatalf("applying the patch %s: %v\n%s", string(response.Patch), err, raw)
		}
		got := &corev1.Pod{}
		if err := json.Unmarshal(patched, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("pod (-Rewrite, +patched):\n%s\n%s", diff, raw)
		}
		if again := placed(patched); len(again.Patch) > 0 {
			t.Fatalf("a second pass patches: %s", string(again.Patch))
		}
		// Our scheduler accepts a pod whose target node is known. Terms without requirements match no node: a
		// pod without other terms can never run, pinned or not.
		if target, ok := daemon.Target(got); changed && !matchesNothing(pod) && (!ok || target != pod.Spec.NodeName) {
			t.Fatalf("the placed pod's target is %q, %v, want %q\n%s", target, ok, pod.Spec.NodeName, raw)
		}
	})
}

// matchesNothing reports whether none of a pod's required terms has requirements.
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
		if rapid.Bool().Draw(t, "has the field controller") {
			owner.Controller = new(rapid.Bool().Draw(t, "controller"))
		}
		return owner
	})
	drawGate = rapid.Custom(func(t *rapid.T) corev1.PodSchedulingGate {
		return corev1.PodSchedulingGate{Name: rapid.SampledFrom([]string{v1alpha1.PlacementGate, "example.com/a", "example.com/b"}).Draw(t, "gate")}
	})
)

// drawPod draws the fields that the rewrite reads and writes, and some others.
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
