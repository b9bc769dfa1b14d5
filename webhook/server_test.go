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
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// patience is far more than any step here needs: exceeding it means that the step hangs.
const patience = 20 * time.Second

// served is a run of Serve on loopback with its own certificate.
type served struct {
	address string
	roots   *x509.CertPool // trust the certificate
	stop    context.CancelFunc
	done    <-chan error // what Serve returns
}

// client returns a client with its own connections; it presents a certificate where one is requested.
func (s *served) client(t *testing.T, shown ...tls.Certificate) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13, Certificates: shown}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// selfSigned returns a certificate that is its own CA, for servers on loopback and for clients.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certificate
}

func serve(t *testing.T, handler http.Handler, delay time.Duration, change ...func(*tls.Config)) *served {
	t.Helper()
	pair, certificate := selfSigned(t, "webhook")
	s := &served{roots: x509.NewCertPool()}
	s.roots.AddCert(certificate)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	for _, c := range change {
		c(config)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, config, handler, delay) }()
	t.Cleanup(stop)
	s.stop, s.done = stop, ended
	return s
}

// ended waits until Serve returns without an error.
func ended(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve did not return")
	}
}

func TestServeOverTLS(t *testing.T) {
	server := serve(t, newHandler(t), 0)
	client := server.client(t)
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
			request, err := http.NewRequestWithContext(t.Context(), test.method, "https://"+server.address+test.path, bytes.NewReader(body))
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
			// Only with HTTP/2 can one connection carry all calls of the API server.
			if response.StatusCode != test.want || response.ProtoMajor != 2 {
				t.Errorf("status %d over %s, want %d over HTTP/2: %s", response.StatusCode, response.Proto, test.want, answer)
			}
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal(answer, &got); test.want == http.StatusOK && (err != nil || got.Response == nil || len(got.Response.Patch) == 0) {
				t.Errorf("answer %s: %v, want a patch", answer, err)
			}
		})
	}
	server.stop()
	ended(t, server.done)
}

// After a stop the server accepts no new connections, and Serve returns when the requests in flight are
// finished.
func TestServeFinishesRequestsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "finished")
	}), 0)
	type answer struct {
		body string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		response, err := server.client(t).Post("https://"+server.address+PlacementPath, "application/json", bytes.NewReader([]byte("{}")))
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

	server.stop()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		connection, err := net.Dial("tcp", server.address)
		if err != nil {
			break
		}
		_ = connection.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still accepted after the stop")
		}
	}
	select {
	case err := <-server.done:
		t.Fatalf("Serve ended (%v) with a request in flight", err)
	default:
	}
	close(release)
	if got := <-answered; got.err != nil || got.body != "finished" {
		t.Errorf("the request in flight got %q, %v", got.body, got.err)
	}
	ended(t, server.done)
}

// When its listener fails, Serve returns an error that says so; it does not wait for the stop.
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
	go func() { done <- Serve(t.Context(), listener, config, http.NotFoundHandler(), 0) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("Serve ended without an error")
		}
	case <-time.After(patience):
		t.Fatal("Serve did not return")
	}
}

// Lame duck mode: after the stop readiness fails at once, and requests are still answered, on old and new
// connections, until the delay is over.
func TestServeGoesOnAfterReadinessFails(t *testing.T) {
	const delay = time.Second
	server := serve(t, newHandler(t), delay)
	ctx, stopped := context.WithCancel(t.Context())
	health := Health(ctx, func() error { return nil })
	old := server.client(t)
	ask := func(client *http.Client) error {
		response, err := client.Post("https://"+server.address+PlacementPath, "application/json", bytes.NewReader(review(t, create([]byte(`{}`)))))
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if client != old {
			client.CloseIdleConnections() // the limit of one host
		}
		return err
	}
	if code, _ := probe(health, "/readyz"); code != http.StatusOK {
		t.Fatalf("ready: %d, want it before the stop", code)
	}
	if err := ask(old); err != nil {
		t.Fatal(err)
	}

	begun := time.Now()
	stopped()
	server.stop()
	if code, message := probe(health, "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready: %d %q, want it refused after the stop", code, message)
	}
	asked := 0
	for ; time.Since(begun) < delay*3/4; asked++ {
		for name, client := range map[string]*http.Client{"an old": old, "a new": server.client(t)} {
			if err := ask(client); err != nil && time.Since(begun) < delay {
				t.Fatalf("%s connection, %v after the stop: %v", name, time.Since(begun), err)
			}
		}
	}
	if asked == 0 {
		t.Error("the machine was too busy to send a request")
	}
	ended(t, server.done)
	if took := time.Since(begun); took < delay {
		t.Errorf("Serve ended after %v, want %v at least", took, delay)
	}
	if err := ask(server.client(t)); err == nil {
		t.Error("a request is answered after the end")
	}
}

// A header beyond the limit ends the request before it reaches the handler.
func TestServeLimitsHeaders(t *testing.T) {
	server := serve(t, newHandler(t), 0)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+server.address+PlacementPath, bytes.NewReader(review(t, create([]byte(`{}`)))))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Large", strings.Repeat("x", 2*headerLimit))
	response, err := server.client(t).Do(request)
	if err != nil {
		return // the connection may be closed instead of an answer
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < http.StatusBadRequest {
		t.Errorf("status %s, want a refusal", response.Status)
	}
}
