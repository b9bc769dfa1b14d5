// Package pace bounds the number of concurrent creates, by the API server's earlier answers.
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

// Throttle bounds the number of concurrent pod creations. It begins with one, and every answer
// of the API server permits one more, up to a maximum; when the API server is overloaded or
// unreachable, the limit halves. So a rollout over thousands of nodes starts gently, and an
// overloaded API server gets one request at a time instead of one from each worker.
type Throttle struct {
	most int

	mu       sync.Mutex
	limit    int
	inFlight int
	waiting  []chan struct{} // first come, first served
}

// New returns a Throttle that admits most at a time, once the API server has given that many answers.
func New(most int) *Throttle {
	createParallelism.Set(1)
	return &Throttle{most: most, limit: 1}
}

// Enter waits for a turn, or until ctx ends. Every Enter needs a Leave.
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

// giveUp returns a turn. If it was already granted, it passes to the next in line.
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

// LeaveUnasked is Leave without a request, which reveals nothing about the API server.
func (t *Throttle) LeaveUnasked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveBack()
}

func (t *Throttle) giveBack() {
	t.inFlight--
	t.admit()
}

// Leave ends a turn and reports whether the API server answered.
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

// admit grants turns to those waiting, up to the limit.
func (t *Throttle) admit() {
	for t.inFlight < t.limit && len(t.waiting) > 0 {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
		t.inFlight++
	}
}

// State returns the limit and the number of turns in use.
func (t *Throttle) State() (limit, inFlight int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit, t.inFlight
}
