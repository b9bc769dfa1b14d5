package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// Proxy is between one program and the API server. Its methods are safe for concurrent use.
type Proxy struct {
	// URL is for the program's kubeconfig.
	URL string

	server    *http.Server
	served    chan struct{}
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	target    *url.URL

	mu      sync.Mutex
	view    view
	past    past
	harm    func(*Write) Harm
	writes  int
	severed reach
	others  life
	watches life
	counts  Counts
}

// reach is what a partition ends.
type reach int

const (
	nothing reach = iota
	watchesAlone
	everything
)

// life is that of requests, until they are severed.
type life struct {
	context.Context
	end context.CancelFunc
}

func (l *life) begin() { l.Context, l.end = context.WithCancel(context.Background()) }

// Counts are what a proxy has done.
type Counts struct {
	// Writes are all writes, except of leases and events.
	Writes int
	// Held are events, or parts of them, that were held back.
	Held int
	// Lost are answers that did not reach the program.
	Lost int
	// Refused are writes that did not reach the API server, by the status that the program got.
	Refused map[int]int
	// Rewound are lists that were answered with a former state.
	Rewound int
	// Severed are requests that were ended or refused by a partition.
	Severed int
}

// Start starts a proxy of the API server of a configuration, with a certificate that the program trusts.
func Start(api *rest.Config, certFile, keyFile string) (*Proxy, error) {
	target, err := url.Parse(api.Host)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(api.CAData)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		URL: "https://" + listener.Addr().String(), target: target, served: make(chan struct{}),
		// The program's own token passes through. Answers are read, so they must not be compressed; 1.37 compresses watches too.
		transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 100, DisableCompression: true},
	}
	p.view.open()
	p.others.begin()
	p.watches.begin()
	p.reverse = &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Del("Accept-Encoding")
		},
		Transport:      p.transport,
		FlushInterval:  -1,
		ModifyResponse: p.wrap,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0), // connections end because of faults
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(p.served)
		if err := p.server.ServeTLS(listener, certFile, keyFile); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Errorf("proxy: %w", err))
		}
	}()
	return p, nil
}

// Close ends all connections.
func (p *Proxy) Close() {
	p.Thaw()
	p.Sever()
	_ = p.server.Close()
	<-p.served
	p.transport.CloseIdleConnections()
}

// Counts returns what was done so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	counts.Refused = map[int]int{}
	for code, n := range p.counts.Refused {
		counts.Refused[code] = n
	}
	return counts
}

func (p *Proxy) count(what func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts.Refused == nil {
		p.counts.Refused = map[int]int{}
	}
	what(&p.counts)
}

// Sever ends all requests and refuses new ones.
func (p *Proxy) Sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.severed = everything
	p.others.end()
	p.others.begin()
	p.watches.end()
	p.watches.begin()
}

// SeverWatches ends watches alone, and refuses new ones.
func (p *Proxy) SeverWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.severed = watchesAlone
	p.watches.end()
	p.watches.begin()
}

// Reconnect ends Sever and SeverWatches.
func (p *Proxy) Reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.severed = nothing
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	watches, _ := isWatch(r)
	p.mu.Lock()
	severed, lives := p.severed == everything, p.others
	if watches {
		severed, lives = p.severed != nothing, p.watches
	}
	p.mu.Unlock()
	if severed {
		p.count(func(c *Counts) { c.Severed++ })
		panic(http.ErrAbortHandler)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(lives, func() {
		p.count(func(c *Counts) { c.Severed++ })
		cancel()
	})
	defer stop()
	r = r.WithContext(ctx)
	if write, ok := p.writeOf(r); ok {
		p.serveWrite(w, r, write)
		return
	}
	if !p.serveFromPast(w, r) {
		p.reverse.ServeHTTP(w, r)
	}
}

// resourceOf returns the resource of a request's path, in the form of kubectl, with its name and subresource.
func resourceOf(path string) (resource, name, subresource string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
	default:
		return "", "", ""
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	parts = append(parts, "", "")
	return parts[0] + group, parts[1], parts[2]
}
