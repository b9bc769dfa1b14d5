package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// roomLimit is how many bytes the requests of one path may hold at a time: two bodies of the largest size,
	// or 1,000 typical pods.
	roomLimit = 32 << 20
	// requestCost is the memory of a request besides its body: a stream, a goroutine, decoded values.
	requestCost = 16 << 10
)

var errBusy = &httpError{http.StatusServiceUnavailable, "too many requests are in flight: try again"}

// room is the memory that the requests of one path share. A request acquires its part before its body is read,
// and releases it when all work for it is done, whether or not its client is still connected. One host gets
// half of the room at most, so that a flood from one address does not block API servers at others.
type room struct {
	all   *semaphore.Weighted
	share int64

	mu    sync.Mutex
	hosts map[string]*host
}

// host is an address with requests in flight or waiting.
type host struct {
	room  *semaphore.Weighted
	users int
}

func newRoom(limit int64) *room {
	return &room{all: semaphore.NewWeighted(limit), share: limit / 2, hosts: map[string]*host{}}
}

// enter waits for room for a request until ctx ends. The caller calls release once.
func (r *room) enter(ctx context.Context, posted *http.Request) (release func(), err error) {
	length := posted.ContentLength
	switch {
	case length > bodyLimit:
		return nil, &http.MaxBytesError{Limit: bodyLimit}
	case length < 0: // unknown
		length = bodyLimit
	}
	size := min(requestCost+2*length, r.share) // the body, and the objects decoded from it
	from := hostOf(posted.RemoteAddr)
	own := r.of(from)
	if err := own.room.Acquire(ctx, size); err != nil {
		r.forget(from, own)
		return nil, busyOr(ctx)
	}
	if err := r.all.Acquire(ctx, size); err != nil {
		own.room.Release(size)
		r.forget(from, own)
		return nil, busyOr(ctx)
	}
	return func() {
		r.all.Release(size)
		own.room.Release(size)
		r.forget(from, own)
	}, nil
}

// busyOr returns why waiting failed: the client disconnected, or no room was free in time.
func busyOr(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	return errBusy
}

func (r *room) of(address string) *host {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.hosts[address]
	if own == nil {
		own = &host{room: semaphore.NewWeighted(r.share)}
		r.hosts[address] = own
	}
	own.users++
	return own
}

func (r *room) forget(address string, own *host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(r.hosts, address)
	}
}

// hostOf returns an address without its port.
func hostOf(address string) string {
	if name, _, err := net.SplitHostPort(address); err == nil {
		return name
	}
	return address
}
