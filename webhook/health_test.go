package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func probe(handler http.Handler, path string) (code int, message string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

// A server is ready while it has a certificate and is not stopping; it is healthy while it runs.
func TestHealth(t *testing.T) {
	without := errors.New("there is no certificate yet")
	tests := map[string]struct {
		ready   error
		stopped bool
		want    int
		message string
	}{
		"with a certificate":              {want: http.StatusOK, message: "ok"},
		"without":                         {ready: without, want: http.StatusServiceUnavailable, message: without.Error()},
		"with a certificate, stopping":    {stopped: true, want: http.StatusServiceUnavailable, message: "stopping"},
		"without a certificate, stopping": {ready: without, stopped: true, want: http.StatusServiceUnavailable, message: "stopping"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if test.stopped {
				stop()
			}
			health := Health(ctx, func() error { return test.ready })
			if code, message := probe(health, "/readyz"); code != test.want || !strings.Contains(message, test.message) {
				t.Errorf("readyz: %d %q, want %d with %q", code, message, test.want, test.message)
			}
			if code, message := probe(health, "/healthz"); code != http.StatusOK {
				t.Errorf("healthz: %d %q, want %d", code, message, http.StatusOK)
			}
		})
	}
}

func TestServeHealthEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeHealth(ctx, listener, Health(ctx, func() error { return nil })) }()
	response, err := http.Get("http://" + listener.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s, want it ready", response.Status)
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("ServeHealth did not return")
	}
}
