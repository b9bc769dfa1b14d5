package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// apiServer answers like an API server that serves the given answers, by path; anything else is not found.
func apiServer(t *testing.T, answers map[string]any) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if code, ok := answer.(int); ok {
			w.WriteHeader(code)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func resources(names ...string) *metav1.APIResourceList {
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}}
	for _, name := range names {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
	}
	return list
}

func TestAsk(t *testing.T) {
	const (
		ga   = "/apis/admissionregistration.k8s.io/v1"
		beta = "/apis/admissionregistration.k8s.io/v1beta1"
	)
	tests := map[string]struct {
		answers map[string]any
		want    Server
		wantErr string
	}{
		"policies are GA": {
			answers: map[string]any{"/version": version.Info{GitVersion: "v1.37.2"}, ga: resources("validatingadmissionpolicies", "mutatingadmissionpolicies")},
			want:    Server{Version: "v1.37.2", PolicyVersion: "v1"},
		},
		"policies are a beta": {
			answers: map[string]any{"/version": version.Info{GitVersion: "v1.35.4"}, ga: resources("validatingadmissionpolicies"), beta: resources("mutatingadmissionpolicies")},
			want:    Server{Version: "v1.35.4", PolicyVersion: "v1beta1"},
		},
		"it emulates another release": {
			answers: map[string]any{"/version": version.Info{GitVersion: "v1.37.2", EmulationMajor: "1", EmulationMinor: "35"}, ga: resources("validatingadmissionpolicies")},
			want:    Server{Version: "v1.37.2", Emulated: "1.35"},
		},
		"no policies": {
			answers: map[string]any{"/version": version.Info{GitVersion: "v1.35.4"}, ga: resources("validatingadmissionpolicies")},
			want:    Server{Version: "v1.35.4"},
		},
		"its version is unknown": {
			answers: map[string]any{"/version": http.StatusForbidden},
			wantErr: "querying the API server's version",
		},
		"its resources are unknown": {
			answers: map[string]any{"/version": version.Info{GitVersion: "v1.37.2"}, ga: http.StatusForbidden},
			wantErr: "querying the API server's admission policies",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t.Context(), apiServer(t, test.answers))
			if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Fatalf("ask: %v, want %q", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("ask (-want, +got):\n%s", diff)
			}
		})
	}
}

// Await retries an API server that is not available yet, until its context ends.
func TestAwait(t *testing.T) {
	answers := map[string]any{"/version": http.StatusServiceUnavailable}
	config := apiServer(t, answers)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if server, err := Await(ctx, config); !errors.Is(err, context.Canceled) {
		t.Errorf("Await = %+v, %v; want it to end with its context", server, err)
	}
	asked := 0
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if asked++; asked == 2 {
				answers["/version"] = version.Info{GitVersion: "v1.36.3"}
			}
			return next.RoundTrip(r)
		})
	})
	server, err := Await(t.Context(), config)
	if want := (Server{Version: "v1.36.3"}); err != nil || server != want {
		t.Errorf("Await = %+v, %v; want %+v", server, err, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
