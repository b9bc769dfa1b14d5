package scheduling

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/everynode/everynode/test/lab"
)

// gate is a proxy between a scheduler and the API server. It delays the scheduler's bindings, and interrupts its watch of pods.
type gate struct {
	*httptest.Server
	reached chan string // pods whose binding is delayed

	mu      sync.Mutex
	open    chan struct{} // closed while bindings pass
	watch   chan struct{} // closed while watches pass
	cut     context.CancelFunc
	watched context.Context
	missed  bool // the next watch is refused as expired
}

func newGate(t *testing.T, s *stage) *gate {
	t.Helper()
	config := s.Config
	target, err := url.Parse(config.Host)
	s.Must(err)
	// client-go sends tokens only over TLS.
	user, err := clientcmd.LoadFromFile(filepath.Join(s.Dir, "kubeconfigs", lab.EverynodeScheduler))
	s.Must(err)
	token := user.AuthInfos[user.Contexts[user.CurrentContext].AuthInfo].Token
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Set("Authorization", "Bearer "+token)
		},
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	g := &gate{reached: make(chan string, 100), open: closed(), watch: closed()}
	g.watched, g.cut = context.WithCancel(context.Background())
	ended, end := context.WithCancel(context.Background())
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer context.AfterFunc(ended, cancel)()
		defer cancel()
		r = r.WithContext(ctx)
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/binding"):
			if !g.pass(r) {
				return
			}
		case r.URL.Path == "/api/v1/pods" && r.URL.Query().Get("watch") != "":
			ctx, expired := g.mayWatch(r)
			if expired {
				refuseAsExpired(w)
				return
			}
			r = r.WithContext(ctx)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		g.release()
		g.cut()
		end() // the scheduler outlives the gate, and Close waits for every request, watches among them
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// through returns the argument that makes a scheduler use the gate.
func (g *gate) through() string { return "--master=" + g.URL }

func closed() chan struct{} {
	open := make(chan struct{})
	close(open)
	return open
}

// hold delays bindings from now on, until release.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// pass waits until a binding may pass; it returns false if its scheduler has given up.
func (g *gate) pass(r *http.Request) bool {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return true
	default:
	}
	g.reached <- path.Base(path.Dir(r.URL.Path))
	select {
	case <-open:
		return true
	case <-r.Context().Done():
		return false
	}
}

// interrupt ends the watch of pods; resume lets the scheduler list them again.
func (g *gate) interrupt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = make(chan struct{})
	g.cut()
	g.watched, g.cut = context.WithCancel(context.Background())
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missed = true
	close(g.watch)
}

// mayWatch waits until a watch may begin, and ends it with the gate's next interruption.
func (g *gate) mayWatch(r *http.Request) (ctx context.Context, expired bool) {
	g.mu.Lock()
	watch := g.watch
	g.mu.Unlock()
	select {
	case <-watch:
	case <-r.Context().Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.missed && r.URL.Query().Get("sendInitialEvents") != "true" {
		g.missed = false
		return nil, true
	}
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(g.watched, cancel)
	return ctx, false
}

// refuseAsExpired answers as the API server does when it no longer has the requested events.
func refuseAsExpired(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusGone)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Reason: metav1.StatusReasonExpired, Code: http.StatusGone, Message: "too old resource version",
	})
}
