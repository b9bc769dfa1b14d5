package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// seeds are valid and invalid bodies for both paths.
func seeds(f *testing.F) {
	f.Helper()
	var objects []string
	for _, spec := range []string{
		`{"nodeName":"n1","schedulingGates":[{"name":"everynode.dev/placement"}]}`, `{}`, `null`, `{"nodeName":null}`,
		`{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]}]}}}}`,
		`{"nodeName":"n1","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{},null,{"matchFields":[{"key":"metadata.name","operator":"In"}]}]}}}}`,
		`{"nodeName":"n1","schedulingGates":[{"name":"a"},{"name":"everynode.dev/placement"},null]}`,
		`{"nodeName":"n1","nodeName":"n2","affinity":{},"affinity":null}`,
		"{\"nodeName\":\"\xff\xfe\",\"schedulerName\":\"\xc3\"}",
		`{"nodeName":"n1","deep":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`,
		`{"nodeName":"n1","huge":"` + strings.Repeat("x", 1<<16) + `"}`,
		`{"nodeName":"n1","number":1e999,"escaped":"\ud800\u0000"}`,
	} {
		objects = append(objects, `{"metadata":{"name":"p","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","controller":true}]},"spec":`+spec+`}`, `{"spec":`+spec+`}`)
	}
	for _, quantity := range []string{`"1e-40000000"`, `1e40000000`, `"1e99999999999999999999"`, `"` + strings.Repeat("9", 1000) + `"`, `"0.` + strings.Repeat("0", 1000) + `1Ki"`, `"+.5e-09"`} {
		for _, place := range []wrong{
			{set: at("resources"), to: `{"limits":{"cpu":` + quantity + `}}`},
			{set: at("env"), to: `[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":` + quantity + `}}}]`},
			{set: []string{"spec", "template", "spec", "volumes"}, to: `[{"name":"v","emptyDir":{"sizeLimit":` + quantity + `}}]`},
		} {
			objects = append(objects, string(encode(f, with(f, validSet(), place))))
		}
	}
	for _, set := range daemonSetSeeds(f) {
		objects = append(objects, string(set))
	}
	pods, daemonSets := `{"version":"v1","resource":"pods"}`, `{"group":"everynode.dev","version":"v1alpha1","resource":"daemonsets"}`
	for _, object := range objects {
		for _, resource := range []string{pods, daemonSets} {
			f.Add(body(`"CREATE"`, resource, object, `null`))
		}
		f.Add(body(`"UPDATE"`, daemonSets, object, objects[len(objects)-1]))
	}
	for _, wrong := range []string{
		``, `{`, `null`, `[]`, `{}`, `{"request":null}`, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"a","uid":"b"}}`,
		`{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":{"spec":{"nodeName":"n1"}}}}`,
		`{"apiVersion":"v1","kind":"Pod","spec":{"nodeName":"n1"}}`,
		strings.Repeat(`[`, 20000),
	} {
		f.Add([]byte(wrong))
	}
	f.Add(body(`"DELETE"`, daemonSets, `null`, `{}`))
	f.Add(body(`"UPDATE"`, pods, `{}`, `{}`))
	f.Add(body(`7`, pods, `{}`, `{}`))
}

func body(operation, resource, object, old string) []byte {
	return []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":` + operation +
		`,"resource":` + resource + `,"namespace":"ns","object":` + object + `,"oldObject":` + old + `}}`)
}

// daemonSetSeeds are valid, refused and unusual manifests.
func daemonSetSeeds(f *testing.F) [][]byte {
	f.Helper()
	var sets [][]byte
	for _, change := range []func(object map[string]any){
		func(map[string]any) {},
		func(object map[string]any) { object["spec"].(map[string]any)["template"] = nil },
		func(object map[string]any) { object["spec"].(map[string]any)["selector"] = nil },
		func(object map[string]any) { delete(object, "spec") },
	} {
		object := map[string]any{}
		if err := json.Unmarshal(encode(f, validSet()), &object); err != nil {
			f.Fatal(err)
		}
		change(object)
		sets = append(sets, encode(f, object))
	}
	for _, file := range []string{"../examples/log-collector.yaml", "../test/corpus/testdata/accepted/unusual.yaml", "../test/corpus/testdata/refused/surge-and-unavailable.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		set, err := yaml.YAMLToJSON(text)
		if err != nil {
			f.Fatal(err)
		}
		sets = append(sets, set)
	}
	return sets
}

// For every body, the answer is a review for the request's UID or an HTTP error, it comes in time, and nothing
// panics. A patch applies to the request's object, and a second pass needs no patch.
func FuzzPlacement(f *testing.F) {
	seeds(f)
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		response := wellFormed(t, handler, PlacementPath, body)
		if response == nil || len(response.Patch) == 0 || ambiguous(body) {
			return
		}
		asked, err := decodeReview(body)
		if err != nil {
			t.Fatalf("a patch for an unreadable object: %v", err)
		}
		patched, err := apply(asked.Object, response)
		if err != nil {
			t.Fatalf("applying %s: %v", response.Patch, err)
		}
		if again := placed(patched); !again.Allowed || len(again.Patch) > 0 {
			t.Fatalf("a second pass: allowed %v, patch %s; want none", again.Allowed, again.Patch)
		}
	})
}

// The same for validation, which never patches.
func FuzzValidation(f *testing.F) {
	seeds(f)
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		response := wellFormed(t, handler, ValidationPath, body)
		switch {
		case response == nil:
		case response.Patch != nil:
			t.Fatalf("validation answers a patch: %s", response.Patch)
		case !response.Allowed && (response.Result.Code == http.StatusTooManyRequests || strings.Contains(response.Result.Message, "bug")):
			t.Fatalf("not validated: %s", response.Result.Message) // in time, or because of a panic
		}
	})
}

// wellFormed posts a body and returns the answer, nil for an HTTP error, after checking that the API server
// would accept it (k8s.io/apiserver pkg/admission/plugin/webhook/request VerifyAdmissionResponse).
func wellFormed(t *testing.T, handler http.Handler, path string, body []byte) *admissionv1.AdmissionResponse {
	begun := time.Now()
	recorder := post(handler, path, body)
	if took := time.Since(begun); took > decodeBudget {
		t.Fatalf("the answer took %v, want %v at most", took, decodeBudget)
	}
	switch recorder.Code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		if recorder.Body.Len() == 0 {
			t.Fatalf("status %d and no message", recorder.Code)
		}
		return nil
	case http.StatusOK:
	default:
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || got.TypeMeta != reviewType || got.Response == nil {
		t.Fatalf("error %v, body %q", err, recorder.Body)
	}
	asked, err := decodeReview(body)
	if err != nil {
		t.Fatalf("a review for an unreadable body: %v", err)
	}
	response := got.Response
	switch {
	case response.UID == "" || !bytes.Equal(encode(t, response.UID), encode(t, asked.UID)):
		t.Fatalf("UID %q, asked %q", response.UID, asked.UID)
	case !response.Allowed && (response.Result == nil || response.Result.Code < 400 || response.Result.Code >= 500 || response.Result.Message == "" || response.Result.Status != metav1.StatusFailure):
		t.Fatalf("refused with %+v", response.Result)
	case (len(response.Patch) > 0) != (response.PatchType != nil) || (len(response.Patch) > 0 && !response.Allowed):
		t.Fatalf("allowed %v, patch %s of type %v", response.Allowed, response.Patch, response.PatchType)
	}
	if _, err := jsonpatch.DecodePatch(response.Patch); err != nil && len(response.Patch) > 0 {
		t.Fatalf("patch %s: %v", response.Patch, err)
	}
	return response
}

// ambiguous reports whether a body has a duplicate key, on whose meaning decoders need not agree. The API
// server never sends one, because it encodes its own types.
func ambiguous(body []byte) bool {
	var value any
	twice, err := kjson.UnmarshalStrict(body, &value, kjson.DisallowDuplicateFields)
	return err != nil || len(twice) > 0
}
