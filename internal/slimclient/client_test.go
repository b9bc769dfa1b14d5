package slimclient

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// server gives every request the same answer, and keeps the last request.
type server struct {
	code         int
	body         string
	path, accept string
	sent         []byte
	options      metav1.DeleteOptions
	err          error // of reading them
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.path, s.accept, s.options = r.Method+" "+r.URL.RequestURI(), r.Header.Get("Accept"), metav1.DeleteOptions{}
	s.sent, _ = io.ReadAll(r.Body)
	_, _, s.err = clientgoscheme.Codecs.UniversalDeserializer().Decode(s.sent, nil, &s.options)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.code)
	_, _ = w.Write([]byte(s.body))
}

func start(t *testing.T, s *server) client.Client {
	t.Helper()
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	c, err := New(&rest.Config{Host: listener.URL}, client.Options{Scheme: clientgoscheme.Scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(code int32, reason metav1.StatusReason) string {
	text, _ := json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: code, Reason: reason})
	return string(text)
}

func TestDeletePod(t *testing.T) {
	tests := map[string]struct {
		code int
		body string
		want func(error) bool
	}{
		"it is gone":                       {http.StatusOK, "{}", func(err error) bool { return err == nil }},
		"the answer is not read":           {http.StatusOK, "not a pod", func(err error) bool { return err == nil }},
		"it does not exist":                {http.StatusNotFound, status(404, metav1.StatusReasonNotFound), apierrors.IsNotFound},
		"it is another object, or changed": {http.StatusConflict, status(409, metav1.StatusReasonConflict), apierrors.IsConflict},
		"the API server is overloaded":     {http.StatusTooManyRequests, status(429, metav1.StatusReasonTooManyRequests), apierrors.IsTooManyRequests},
		"it is forbidden by a policy":      {http.StatusForbidden, status(403, metav1.StatusReasonForbidden), apierrors.IsForbidden},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &server{code: test.code, body: test.body}
			uid, version, grace := types.UID("u"), "7", int64(5)
			err := start(t, s).Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}},
				client.Preconditions{UID: &uid, ResourceVersion: &version}, client.GracePeriodSeconds(grace))
			if !test.want(err) {
				t.Errorf("error %v, want none or the API server's", err)
			}
			if s.path != "DELETE /api/v1/namespaces/ns/pods/p" {
				t.Errorf("the request was %s", s.path)
			}
			if !strings.Contains(s.accept, "as=PartialObjectMetadata") {
				t.Errorf("it accepts %s, want only metadata", s.accept)
			}
			of := s.options.Preconditions // S5
			if of == nil || of.UID == nil || *of.UID != uid || of.ResourceVersion == nil || *of.ResourceVersion != version || s.options.GracePeriodSeconds == nil || *s.options.GracePeriodSeconds != grace {
				t.Errorf("the options are %+v (%v)", s.options, s.err)
			}
		})
	}
}

func TestCreatePod(t *testing.T) {
	stored := `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"namespace":"ns","name":"p","uid":"u","labels":{"added":"by admission"}}}`
	pod := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	}
	tests := map[string]struct {
		code int
		body string
		want func(error) bool
	}{
		"it is stored":                      {http.StatusCreated, stored, func(err error) bool { return err == nil }},
		"its name is taken":                 {http.StatusConflict, status(409, metav1.StatusReasonAlreadyExists), apierrors.IsAlreadyExists},
		"it is invalid":                     {http.StatusUnprocessableEntity, status(422, metav1.StatusReasonInvalid), apierrors.IsInvalid},
		"admission failed":                  {http.StatusInternalServerError, status(500, metav1.StatusReasonInternalError), apierrors.IsInternalError},
		"a namespace that is being deleted": {http.StatusForbidden, status(403, metav1.StatusReasonForbidden), apierrors.IsForbidden},
		"an answer that is no metadata":     {http.StatusCreated, "not a pod", func(err error) bool { return err != nil }},
		"the API server is overloaded":      {http.StatusTooManyRequests, status(429, metav1.StatusReasonTooManyRequests), apierrors.IsTooManyRequests},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &server{code: test.code, body: test.body}
			created := pod()
			err := start(t, s).Create(t.Context(), created, client.FieldOwner("everynode"))
			if !test.want(err) {
				t.Fatalf("error %v, want none or the API server's", err)
			}
			if s.path != "POST /api/v1/namespaces/ns/pods?fieldManager=everynode" || !strings.Contains(s.accept, "as=PartialObjectMetadata") {
				t.Errorf("the request was %s, and accepts %s", s.path, s.accept)
			}
			sent, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(s.sent, nil, nil)
			if diff := cmp.Diff(pod().Spec, sent.(*corev1.Pod).Spec); err != nil || diff != "" {
				t.Errorf("the pod that was sent (-want, +got), %v:\n%s", err, diff)
			}
			want := pod()
			if test.code == http.StatusCreated && test.body == stored {
				want.UID, want.Labels = "u", map[string]string{"added": "by admission"}
			}
			if diff := cmp.Diff(want, created); diff != "" {
				t.Errorf("the pod after it was created (-want, +got):\n%s", diff)
			}
		})
	}
}

// A dry run is for the whole pod, and other kinds have no cheaper requests.
func TestCreateWhole(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}
	s := &server{code: http.StatusCreated, body: `{"kind":"Pod","apiVersion":"v1","metadata":{"namespace":"ns","name":"p"},"spec":{"nodeSelector":{"added":"by admission"}}}`}
	if err := start(t, s).Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if s.path != "POST /api/v1/namespaces/ns/pods?dryRun=All" || pod.Spec.NodeSelector["added"] == "" {
		t.Errorf("the request was %s, and returned %+v", s.path, pod.Spec)
	}
	s.body = `{"kind":"Secret","apiVersion":"v1","metadata":{"namespace":"ns","name":"s"}}`
	if err := start(t, s).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}); err != nil {
		t.Fatal(err)
	}
	if s.path != "POST /api/v1/namespaces/ns/secrets" || strings.Contains(s.accept, "PartialObjectMetadata") {
		t.Errorf("the request was %s, and accepts %s", s.path, s.accept)
	}
}

// Deletes of other objects are left to controller-runtime.
func TestDeleteOther(t *testing.T) {
	s := &server{code: http.StatusOK, body: `{"apiVersion":"v1","kind":"Status","status":"Success"}`}
	if err := start(t, s).Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}}); err != nil {
		t.Fatal(err)
	}
	if s.path != "DELETE /api/v1/namespaces/ns/secrets/s" || strings.Contains(s.accept, "PartialObjectMetadata") {
		t.Errorf("the request was %s, and accepts %s", s.path, s.accept)
	}
}
