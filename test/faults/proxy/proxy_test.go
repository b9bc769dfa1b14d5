package proxy

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api is an API server that lists a state, and sends what a test tells it on watches.
type api struct {
	*httptest.Server
	events chan string

	mu     sync.Mutex
	state  string
	writes []string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{events: make(chan string), state: "old"}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	if encoding := r.Header.Get("Accept-Encoding"); encoding != "" {
		panic("answers may be compressed: " + encoding)
	}
	if r.Method != http.MethodGet {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.writes = append(a.writes, r.Method+" "+r.URL.Path)
		fmt.Fprint(w, "done")
		return
	}
	if watches, fromStart := isWatch(r); watches {
		if fromStart {
			fmt.Fprintln(w, `first {"annotations":{"k8s.io/initial-events-end":"true"}}`)
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case event := <-a.events:
				fmt.Fprintln(w, event)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprint(w, a.state)
}

func (a *api) set(state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = state
}

func (a *api) received() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.writes, ", ")
}

// start returns a proxy of an API server, and a client of it.
func start(t *testing.T, a *api) (*Proxy, *client) {
	t.Helper()
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	p, err := Start(&rest.Config{Host: a.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(&rest.Config{Host: p.URL, TLSClientConfig: rest.TLSClientConfig{CAData: cert}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, p, &http.Client{Transport: transport}}
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		p.Close()
	})
	return p, c
}

type client struct {
	t     *testing.T
	proxy *Proxy
	http  *http.Client
}

func (c *client) do(method, path string) (int, string, error) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.proxy.URL+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// watch returns the lines of a watch.
func (c *client) watch(path string) <-chan string {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.proxy.URL+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.http.Do(request) //nolint:bodyclose // the test's cleanup closes it
	if err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
	})
	return lines
}

const long = 10 * time.Second

func want(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	select {
	case line, more := <-lines:
		if !more || !strings.Contains(line, text) {
			t.Fatalf("got %q (%t), want %q", line, more, text)
		}
	case <-time.After(long):
		t.Fatalf("%q does not arrive", text)
	}
}

func wantHeld(t *testing.T, p *Proxy, lines <-chan string, n int) {
	t.Helper()
	for begun := time.Now(); p.Counts().Held < n; time.Sleep(time.Millisecond) {
		if time.Since(begun) > long {
			t.Fatalf("%d events are held, want %d", p.Counts().Held, n)
		}
	}
	select {
	case line := <-lines:
		t.Fatalf("%q was not held", line)
	default:
	}
}

// A frozen watch delivers nothing but the objects that exist, and everything once it is thawed.
func TestFreeze(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	lines := c.watch("/api/v1/pods?watch=true")
	a.events <- "one"
	want(t, lines, "one")
	p.Freeze("pods")
	a.events <- "two"
	wantHeld(t, p, lines, 1)
	fresh := c.watch("/api/v1/pods?watch=true&sendInitialEvents=true")
	want(t, fresh, "first")
	p.Thaw()
	want(t, lines, "two")
	p.Freeze("nodes")
	for range 2 { // whichever watch gets it
		a.events <- "three"
	}
	select {
	case <-lines:
	case <-fresh:
	case <-time.After(long):
		t.Fatal("pods are frozen, want nodes")
	}
}

// A delayed watch delivers everything, later.
func TestDelay(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	lines := c.watch("/api/v1/pods?watch=true")
	p.Delay(200 * time.Millisecond)
	sent := time.Now()
	a.events <- "one"
	want(t, lines, "one")
	if took := time.Since(sent); took < 200*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

// Each harm to a write, as the program and the API server see it.
func TestHarm(t *testing.T) {
	var order []string
	note := func(what string) func() { return func() { order = append(order, what) } }
	tests := map[string]struct {
		path     string
		harm     Harm
		code     int // 0: the request fails
		received bool
		counts   Counts
	}{
		"none":          {path: "/api/v1/namespaces/default/pods", code: 200, received: true, counts: Counts{Writes: 1}},
		"refused":       {path: "/api/v1/namespaces/default/pods", harm: Harm{Refuse: 429}, code: 429, counts: Counts{Writes: 1, Refused: map[int]int{429: 1}}},
		"answer lost":   {path: "/api/v1/namespaces/default/pods", harm: Harm{Lose: true}, received: true, counts: Counts{Writes: 1, Lost: 1}},
		"withheld":      {path: "/api/v1/namespaces/default/pods", harm: Harm{Withhold: true}, counts: Counts{Writes: 1, Lost: 1}},
		"of a lease":    {path: "/apis/coordination.k8s.io/v1/namespaces/x/leases", harm: Harm{Refuse: 500}, code: 200, received: true},
		"around it":     {path: "/api/v1/namespaces/default/pods", harm: Harm{Before: note("before"), After: note("after")}, code: 200, received: true, counts: Counts{Writes: 1}},
		"no collection": {path: "/apis/apps/v1/namespaces/x/controllerrevisions/y", harm: Harm{Refuse: 409}, code: 409, counts: Counts{Writes: 1, Refused: map[int]int{409: 1}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			p, c := start(t, a)
			p.Harm(func(*Write) Harm { return test.harm })
			code, _, err := c.do(http.MethodPost, test.path)
			if code != test.code || (err != nil) != (test.code == 0) {
				t.Errorf("the answer is %d, %v; want %d", code, err, test.code)
			}
			if got := a.received() != ""; got != test.received {
				t.Errorf("the API server received %q", a.received())
			}
			if test.counts.Refused == nil {
				test.counts.Refused = map[int]int{}
			}
			if got := p.Counts(); fmt.Sprint(got) != fmt.Sprint(test.counts) {
				t.Errorf("counts %+v, want %+v", got, test.counts)
			}
		})
	}
	if got := strings.Join(order, " "); got != "before after" {
		t.Errorf("called %q", got)
	}
}

// What is decided about a write is decided by what it writes.
func TestWrite(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	var seen []string
	p.Harm(func(w *Write) Harm {
		seen = append(seen, fmt.Sprint(w.Number, " ", w.Method, " ", w.Resource, " ", w.Name, " ", w.Subresource))
		return Harm{}
	})
	for _, path := range []string{"/api/v1/namespaces/x/pods/y/binding", "/apis/apps/v1/namespaces/x/daemonsets/z/status", "/api/v1/nodes/n"} {
		if code, _, err := c.do(http.MethodPost, path); code != 200 {
			t.Fatal(code, err)
		}
	}
	const all = "1 POST pods y binding|2 POST daemonsets.apps z status|3 POST nodes n "
	if got := strings.Join(seen, "|"); got != all {
		t.Errorf("got %q, want %q", got, all)
	}
}

// A rewound proxy answers lists with what was, and refuses initial events, which would be those of now.
func TestRewind(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	list := func() string {
		t.Helper()
		code, body, err := c.do(http.MethodGet, "/api/v1/pods?limit=500&resourceVersion=0")
		if code != 200 {
			t.Fatal(code, err)
		}
		return body
	}
	list()
	if err := p.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.set("new")
	if got := list(); got != "new" {
		t.Errorf("before: %q", got)
	}
	p.Rewind()
	if got := list(); got != "old" {
		t.Errorf("rewound: %q", got)
	}
	if code, _, _ := c.do(http.MethodGet, "/api/v1/pods?watch=true&sendInitialEvents=true"); code != http.StatusUnprocessableEntity {
		t.Errorf("initial events: %d", code)
	}
	lines := c.watch("/api/v1/pods?watch=true&resourceVersion=1")
	a.events <- "event"
	wantHeld(t, p, lines, 1)
	p.Thaw()
	want(t, lines, "event")
	if got := list(); got != "new" {
		t.Errorf("after: %q", got)
	}
	if got := p.Counts().Rewound; got != 1 {
		t.Errorf("%d lists were rewound, want 1", got)
	}
}

// Severed watches end, and other requests are answered.
func TestSeverWatches(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	lines := c.watch("/api/v1/pods?watch=true")
	p.SeverWatches()
	select {
	case _, more := <-lines:
		if more {
			t.Error("the watch delivers something")
		}
	case <-time.After(long):
		t.Fatal("the watch goes on")
	}
	if code, _, err := c.do(http.MethodGet, "/api/v1/pods"); code != 200 {
		t.Error(code, err)
	}
	if _, _, err := c.do(http.MethodGet, "/api/v1/pods?watch=true"); err == nil {
		t.Error("another watch begins")
	}
}

// A partition ends watches and refuses requests, until it ends.
func TestSever(t *testing.T) {
	a := newAPI(t)
	p, c := start(t, a)
	lines := c.watch("/api/v1/pods?watch=true")
	p.Sever()
	select {
	case _, more := <-lines:
		if more {
			t.Error("the watch delivers something")
		}
	case <-time.After(long):
		t.Fatal("the watch goes on")
	}
	if code, _, err := c.do(http.MethodGet, "/api/v1/pods"); err == nil {
		t.Errorf("a list is answered: %d", code)
	}
	p.Reconnect()
	if code, _, err := c.do(http.MethodGet, "/api/v1/pods"); code != 200 {
		t.Error(code, err)
	}
	if got := p.Counts().Severed; got < 2 {
		t.Errorf("%d requests were severed, want 2", got)
	}
}
