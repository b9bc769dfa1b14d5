package webhook

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// patience is far more than anything here takes; who waits longer hangs.
const patience = 20 * time.Second

// serve runs Serve on loopback with a certificate of its own and gives its address, a client that
// trusts it, the stop, and what Serve returns.
func serve(t *testing.T, handler http.Handler) (address string, client *http.Client, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "webhook"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, config, handler) }()
	t.Cleanup(stop)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return listener.Addr().String(), &http.Client{Transport: transport, Timeout: patience}, stop, ended
}

// ended waits for Serve to end well.
func ended(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve did not end")
	}
}

func TestServeOverTLS(t *testing.T) {
	address, client, stop, done := serve(t, newHandler(t))
	body := review(t, create([]byte(`{"spec":{"nodeName":"n1"}}`)))
	tests := map[string]struct {
		method, path string
		want         int
	}{
		"the review":      {method: http.MethodPost, path: PlacementPath, want: http.StatusOK},
		"GET":             {method: http.MethodGet, path: PlacementPath, want: http.StatusMethodNotAllowed},
		"PUT":             {method: http.MethodPut, path: PlacementPath, want: http.StatusMethodNotAllowed},
		"a path below it": {method: http.MethodPost, path: PlacementPath + "/x", want: http.StatusNotFound},
		"the root":        {method: http.MethodPost, path: "/", want: http.StatusNotFound},
		"metrics":         {method: http.MethodGet, path: "/metrics", want: http.StatusNotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, "https://"+address+test.path, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			answer, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			// One connection carries the API server's calls only over HTTP/2.
			if response.StatusCode != test.want || response.ProtoMajor != 2 {
				t.Errorf("status %d over %s, want %d over HTTP/2: %s", response.StatusCode, response.Proto, test.want, answer)
			}
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal(answer, &got); test.want == http.StatusOK && (err != nil || got.Response == nil || len(got.Response.Patch) == 0) {
				t.Errorf("answer %s: %v, want a patch", answer, err)
			}
		})
	}
	stop()
	ended(t, done)
}

// A stop takes no new connections, and finishes what is under way before Serve ends.
func TestServeFinishesRequestsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	address, client, stop, done := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "finished")
	}))
	type answer struct {
		body string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		response, err := client.Post("https://"+address+PlacementPath, "application/json", bytes.NewReader([]byte("{}")))
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		answered <- answer{body: string(body), err: err}
	}()
	select {
	case <-entered:
	case <-time.After(patience):
		t.Fatal("the request did not arrive")
	}

	stop()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = connection.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still taken after the stop")
		}
	}
	select {
	case err := <-done:
		t.Fatalf("Serve ended (%v) with a request under way", err)
	default:
	}
	close(release)
	if got := <-answered; got.err != nil || got.body != "finished" {
		t.Errorf("the request under way got %q, %v", got.body, got.err)
	}
	ended(t, done)
}

// A listener that fails ends Serve with an error that says so; it does not wait for the stop.
func TestServeEndsWithItsListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }}
	done := make(chan error, 1)
	go func() { done <- Serve(t.Context(), listener, config, http.NotFoundHandler()) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("Serve ended without an error")
		}
	case <-time.After(patience):
		t.Fatal("Serve did not end")
	}
}
