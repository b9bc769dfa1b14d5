package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// review returns the body that the API server posts.
func review(t testing.TB, asked *request) []byte {
	return encode(t, admissionv1.AdmissionReview{
		TypeMeta: reviewType,
		Request: &admissionv1.AdmissionRequest{
			UID: asked.UID, Operation: asked.Operation, Resource: asked.Resource, RequestResource: &asked.Resource, SubResource: asked.SubResource,
			Namespace: asked.Namespace, Name: asked.Name, DryRun: new(false),
			UserInfo: authenticationv1.UserInfo{Username: "system:serviceaccount:everynode-system:everynode-controller", Groups: []string{"system:serviceaccounts", "system:authenticated"}},
			Object:   runtime.RawExtension{Raw: asked.Object}, OldObject: runtime.RawExtension{Raw: asked.OldObject},
		},
	})
}

func newHandler(testing.TB) http.Handler { return Handler(logr.Discard(), nil, nil) }

// post sends a body as the API server does.
func post(handler http.Handler, path string, body []byte) *httptest.ResponseRecorder {
	return postAs(handler, path, "application/json", bytes.NewReader(body))
}

func postAs(handler http.Handler, path, contentType string, body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, body)
	request.Header.Set("Content-Type", contentType)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestHandlerAnswersTheReview(t *testing.T) {
	recorder := post(newHandler(t), PlacementPath, review(t, create([]byte(`{"spec":{"nodeName":"n1"}}`))))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); recorder.Code != http.StatusOK || err != nil {
		t.Fatalf("status %d, body %s: %v", recorder.Code, recorder.Body, err)
	}
	patch := got.Response.Patch
	got.Response.Patch = nil
	want := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{UID: "uid-request", Allowed: true, PatchType: new(admissionv1.PatchTypeJSONPatch)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("review (-want, +got):\n%s", diff)
	}
	if operations, err := jsonpatch.DecodePatch(patch); err != nil || len(operations) == 0 {
		t.Errorf("patch %s: %v", patch, err)
	}
}

// A request with a UID is answered with a review, even if it is refused; others are not.
func TestHandlerRefuses(t *testing.T) {
	const head = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"version":"v1","resource":"pods"}`
	tests := map[string]struct {
		body        string
		contentType string // "" for application/json
		wantStatus  int    // the HTTP status; 200 for a review that refuses
		want        string // a part of the message
	}{
		"nothing":                        {body: ``, wantStatus: 400, want: "decoding the review"},
		"half a review":                  {body: head, wantStatus: 400, want: "decoding the review"},
		"something after it":             {body: head + `}}{}`, wantStatus: 400, want: "decoding the review"},
		"null":                           {body: `null`, wantStatus: 400, want: "send an AdmissionReview of admission.k8s.io/v1"},
		"a list":                         {body: `[]`, wantStatus: 400, want: "decoding the review"},
		"no type":                        {body: `{"request":{"uid":"u"}}`, wantStatus: 400, want: `the body is "" of ""`},
		"another version":                {body: `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u"}}`, wantStatus: 400, want: "admission.k8s.io/v1beta1"},
		"another kind":                   {body: `{"apiVersion":"v1","kind":"Pod","spec":{"nodeName":"n1"}}`, wantStatus: 400, want: `the body is "Pod" of "v1"`},
		"no request":                     {body: `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, wantStatus: 400, want: "has no request"},
		"an answer":                      {body: `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":true}}`, wantStatus: 400, want: "has no request"},
		"no uid":                         {body: `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, wantStatus: 400, want: "has no uid"},
		"a number for a name":            {body: strings.Replace(head, `"CREATE"`, `1`, 1) + `}}`, wantStatus: 400, want: "decoding the review"},
		"keys in another case":           {body: `{"APIVersion":"admission.k8s.io/v1","Kind":"AdmissionReview","Request":{"uid":"u"}}`, wantStatus: 400, want: `the body is "" of ""`},
		"ten thousand levels":            {body: head + `,"object":` + strings.Repeat(`{"a":`, 20000) + strings.Repeat(`}`, 20002), wantStatus: 400, want: "max depth"},
		"more than the limit":            {body: head + `,"object":"` + strings.Repeat("x", bodyLimit) + `"}}`, wantStatus: 413, want: "too large"},
		"protobuf":                       {body: "k8s\x00", contentType: "application/vnd.kubernetes.protobuf", wantStatus: 415, want: "send application/json"},
		"an invalid content type":        {body: head + `}}`, contentType: ";", wantStatus: 415, want: "send application/json"},
		"a number for a pod":             {body: head + `,"object":[]}}`, wantStatus: 200, want: "decoding the pod"},
		"no pod":                         {body: head + `}}`, wantStatus: 200, want: "decoding the pod"},
		"a pod of the wrong form":        {body: head + `,"object":{"spec":{"nodeName":{}}}}}`, wantStatus: 200, want: "decoding the pod"},
		"annotations that are not a map": {body: head + `,"object":{"metadata":{"annotations":"x"},"spec":{"nodeName":"n1"}}}}`, wantStatus: 200, want: "decoding the pod"},
	}
	handler := newHandler(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			contentType := "application/json; charset=utf-8"
			if test.contentType != "" {
				contentType = test.contentType
			}
			recorder := postAs(handler, PlacementPath, contentType, strings.NewReader(test.body))
			message := recorder.Body.String()
			if recorder.Code == http.StatusOK {
				var got admissionv1.AdmissionReview
				if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || got.Response == nil || got.Response.UID != "u" || got.Response.Allowed {
					t.Fatalf("review %s, error %v; want a refusal of u", recorder.Body, err)
				}
				message = got.Response.Result.Message
			}
			if recorder.Code != test.wantStatus || !strings.Contains(message, test.want) {
				t.Errorf("status %d %q, want %d with %q", recorder.Code, message, test.wantStatus, test.want)
			}
		})
	}
}

// A decoded request does not change when the next one reuses its buffer.
func TestRequestsShareNoMemory(t *testing.T) {
	read := func(uid, object string) *request {
		body := review(t, &request{UID: "u", Name: uid, Object: []byte(object)})
		posted := httptest.NewRequest(http.MethodPost, PlacementPath, bytes.NewReader(body))
		posted.Header.Set("Content-Type", "application/json")
		got, err := readRequest(httptest.NewRecorder(), posted)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := read("first", `{"a":"first"}`)
	for range 10 {
		read("other", `{"a":"other"}`)
	}
	if first.Name != "first" || string(first.Object) != `{"a":"first"}` {
		t.Errorf("name %q, object %s; want the first's", first.Name, first.Object)
	}
}
