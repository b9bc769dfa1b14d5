package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Write is a request that changes something.
type Write struct {
	// Number counts writes from 1.
	Number int
	Method string
	// Resource is in the form of kubectl, such as daemonsets.apps.
	Resource, Name, Subresource string
}

// Harm is what happens to a write. The zero value does none.
type Harm struct {
	// Before is called before the API server gets the write, and After when it has answered, before the program gets the answer.
	Before, After func()
	// Refuse answers with this status instead of the API server.
	Refuse int
	// Lose ends the request without the API server's answer. Withhold ends it before the API server gets it.
	Lose, Withhold bool
}

// Harm sets what decides about writes; nil ends it. Writes of leases and events are left alone.
func (p *Proxy) Harm(harm func(*Write) Harm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.harm = harm
}

// ignored are resources whose writes are no steps of a program's work.
var ignored = map[string]bool{"leases.coordination.k8s.io": true, "events": true, "events.events.k8s.io": true}

func (p *Proxy) writeOf(r *http.Request) (*Write, bool) {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, false
	}
	write := &Write{Method: r.Method}
	write.Resource, write.Name, write.Subresource = resourceOf(r.URL.Path)
	return write, write.Resource != "" && !ignored[write.Resource]
}

func (p *Proxy) serveWrite(w http.ResponseWriter, r *http.Request, write *Write) {
	// All of it, because the program may be killed before it is sent on.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.writes++
	p.counts.Writes++
	write.Number = p.writes
	decide := p.harm
	p.mu.Unlock()
	var harm Harm
	if decide != nil {
		harm = decide(write)
	}
	if harm.Before != nil {
		harm.Before()
	}
	switch {
	case harm.Withhold:
		p.count(func(c *Counts) { c.Lost++ })
		panic(http.ErrAbortHandler)
	case harm.Refuse != 0:
		p.count(func(c *Counts) { c.Refused[harm.Refuse]++ })
		refuse(w, harm.Refuse)
	case harm.Lose:
		// The program may be gone already; the API server finishes the write all the same.
		p.reverse.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
		p.count(func(c *Counts) { c.Lost++ })
		if harm.After != nil {
			harm.After()
		}
		panic(http.ErrAbortHandler)
	default:
		p.reverse.ServeHTTP(w, r)
	}
	if harm.After != nil {
		harm.After()
	}
}

// reasons are those of the API server for the statuses that tests use.
var reasons = map[int]metav1.StatusReason{
	http.StatusConflict:            metav1.StatusReasonConflict,
	http.StatusTooManyRequests:     metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:  metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:      metav1.StatusReasonTimeout,
	http.StatusUnprocessableEntity: metav1.StatusReasonInvalid,
}

// refuse answers as the API server does.
func refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Reason: reasons[code], Code: int32(code), Message: "a fault of the test: " + http.StatusText(code),
	})
}

// nowhere is where lost answers go.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
