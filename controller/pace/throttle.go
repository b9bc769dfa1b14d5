// Package pace bounds how many creates are under way at a time, by how the API server answered before.
package pace

import (
	"context"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/internal/metric"
)

var createParallelism = metric.NewGauge("everynode_pod_create_parallelism",
	"Number of concurrent pod creations allowed at present: it rises while the API server answers and halves while it does not.")

func init() { metrics.Registry.MustRegister(createParallelism) }

// Throttle bounds how many pods are created at a time. It begins with one and lets one more in
// after each that the API server answered, up to a maximum; when the API server is overloaded or
// away, it halves. So a rollout over thousands of nodes starts gently, and an API server in
// overload meets one request at a time instead of as many as there are workers.
type Throttle struct {
	most int

	mu       sync.Mutex
	limit    int
	inFlight int
	waiting  []chan struct{} // first come, first served
}

// New makes a Throttle that lets in most at a time, once the API server has answered as often.
func New(most int) *Throttle {
	createParallelism.Set(1)
	return &Throttle{most: most, limit: 1}
}

// Enter waits for its turn, or until ctx ends. Whoever enters leaves.
func (t *Throttle) Enter(ctx context.Context) error {
	t.mu.Lock()
	if t.inFlight < t.limit && len(t.waiting) == 0 {
		t.inFlight++
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.giveUp(turn)
		return ctx.Err()
	}
}

// giveUp takes a turn back. One that was given already goes to the next.
func (t *Throttle) giveUp(turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.waiting {
		if other == turn {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			return
		}
	}
	t.giveBack()
}

// LeaveUnasked is leave of who asked for nothing in the end: that tells nothing of the API server.
func (t *Throttle) LeaveUnasked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveBack()
}

func (t *Throttle) giveBack() {
	t.inFlight--
	t.admit()
}

// Leave says how it went: whether the API server answered.
func (t *Throttle) Leave(answered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
	if answered {
		t.limit = min(t.limit+1, t.most)
	} else {
		t.limit = max(t.limit/2, 1)
	}
	createParallelism.Set(float64(t.limit))
	t.admit()
}

// admit gives turns to those who wait, as far as the limit allows.
func (t *Throttle) admit() {
	for t.inFlight < t.limit && len(t.waiting) > 0 {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
		t.inFlight++
	}
}

// State is how many may be under way at a time, and how many are.
func (t *Throttle) State() (limit, inFlight int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit, t.inFlight
}
