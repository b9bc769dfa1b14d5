package proxy

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// past is a former state, as the program would have listed it.
type past struct {
	asked   map[string]*http.Request // the program's watches and lists, by path and selectors
	answers map[string]answer
	rewound bool
}

type answer struct {
	kind string
	body []byte
}

// listed returns what a list or a watch asks for, without the parameters of watches and versions.
func listed(r *http.Request) string {
	query := url.Values{}
	for _, key := range []string{"labelSelector", "fieldSelector"} {
		if r.URL.Query().Has(key) {
			query.Set(key, r.URL.Query().Get(key))
		}
	}
	return r.URL.Path + "?" + query.Encode()
}

// Remember stores the present state of everything that the program has watched, for Rewind.
func (p *Proxy) Remember(ctx context.Context) error {
	p.mu.Lock()
	asked := p.past.asked
	p.past.asked = maps.Clone(asked)
	p.mu.Unlock()
	answers := map[string]answer{}
	for key, request := range asked {
		got, err := p.list(ctx, key, request)
		if err != nil {
			return err
		}
		answers[key] = got
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.answers = answers
	return nil
}

// list lists as the program would.
func (p *Proxy) list(ctx context.Context, key string, as *http.Request) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.String()+key, nil)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", as.Header.Get("Authorization"))
	// A watch of metadata asks for single objects.
	request.Header.Set("Accept", strings.ReplaceAll(as.Header.Get("Accept"), "as=PartialObjectMetadata;", "as=PartialObjectMetadataList;"))
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("listing %s: %s: %s", key, response.Status, body)
	}
	return answer{response.Header.Get("Content-Type"), body}, nil
}

// Rewind makes the program's view that of Remember, until Thaw: its watches deliver nothing, and it lists the former state.
func (p *Proxy) Rewind() {
	p.Freeze()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.rewound = true
}

// serveFromPast notes what the program lists and watches, and answers lists while the proxy is rewound. Initial events are
// refused then, as by an API server that cannot catch up, and the program lists.
func (p *Proxy) serveFromPast(w http.ResponseWriter, r *http.Request) bool {
	resource, name, _ := resourceOf(r.URL.Path)
	if r.Method != http.MethodGet || resource == "" || name != "" {
		return false
	}
	watches, fromStart := isWatch(r)
	key := listed(r)
	p.mu.Lock()
	if p.past.asked == nil {
		p.past.asked = map[string]*http.Request{}
	}
	p.past.asked[key] = r
	rewound, known := p.past.answers[key]
	active := p.past.rewound && known
	if active && !watches {
		p.counts.Rewound++
	}
	p.mu.Unlock()
	switch {
	case active && fromStart:
		refuse(w, http.StatusUnprocessableEntity)
	case active && !watches:
		w.Header().Set("Content-Type", rewound.kind)
		_, _ = w.Write(rewound.body)
	default:
		return false
	}
	return true
}
