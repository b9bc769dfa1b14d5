package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"
)

// view is what watches deliver.
type view struct {
	opened    chan struct{} // closed while events pass
	resources []string      // that are held back; nil means all
	delay     time.Duration
}

func (v *view) open() {
	v.opened, v.resources = make(chan struct{}), nil
	close(v.opened)
}

// Freeze holds back the events of resources, or of all resources, until Thaw. Watches that begin later still get the objects that
// exist (their initial events), and no more.
func (p *Proxy) Freeze(resources ...string) {
	p.Thaw()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.opened, p.view.resources = make(chan struct{}), resources
}

// Thaw delivers what was held back, and ends Rewind.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.rewound = false
	select {
	case <-p.view.opened:
	default:
		close(p.view.opened)
	}
}

// Delay delays the events of all watches; 0 ends it.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.delay = by
}

// isWatch reports whether a request watches, and whether its watch begins with the objects that exist.
func isWatch(r *http.Request) (watches, fromStart bool) {
	query := r.URL.Query()
	value := query.Get("watch")
	return r.Method == http.MethodGet && (value == "true" || value == "1"), query.Get("sendInitialEvents") == "true"
}

// wrap makes an answered watch pass through the view.
func (p *Proxy) wrap(response *http.Response) error {
	watches, fromStart := isWatch(response.Request)
	if !watches || response.StatusCode != http.StatusOK {
		return nil
	}
	resource, _, _ := resourceOf(response.Request.URL.Path)
	response.Body = &stream{ReadCloser: response.Body, ctx: response.Request.Context(), proxy: p, resource: resource, initial: fromStart}
	return nil
}

// stream is the body of a watch.
type stream struct {
	io.ReadCloser
	ctx      context.Context
	proxy    *Proxy
	resource string
	// initial is true until the objects that exist were delivered; tail is the end of what was read of them.
	initial bool
	tail    []byte
}

// initialEnd is part of the bookmark that ends initial events, in any encoding.
const initialEnd = "k8s.io/initial-events-end"

func (s *stream) Read(into []byte) (int, error) {
	n, err := s.ReadCloser.Read(into)
	if s.initial {
		s.tail = append(s.tail, into[:n]...)
		s.initial = !bytes.Contains(s.tail, []byte(initialEnd))
		s.tail = s.tail[max(0, len(s.tail)-len(initialEnd)):]
		return n, err
	}
	if n > 0 && !s.await() {
		return 0, s.ctx.Err()
	}
	return n, err
}

// await waits until what was read may be delivered; it returns false when the request ends before.
func (s *stream) await() bool {
	s.proxy.mu.Lock()
	opened, delay := s.proxy.view.opened, s.proxy.view.delay
	if held := s.proxy.view.resources; len(held) > 0 && !slices.Contains(held, s.resource) {
		opened = nil
	}
	s.proxy.mu.Unlock()
	if opened != nil {
		select {
		case <-opened:
		default:
			s.proxy.count(func(c *Counts) { c.Held++ })
			select {
			case <-opened:
			case <-s.ctx.Done():
				return false
			}
		}
	}
	if delay == 0 {
		return true
	}
	s.proxy.count(func(c *Counts) { c.Held++ })
	select {
	case <-time.After(delay):
		return true
	case <-s.ctx.Done():
		return false
	}
}
