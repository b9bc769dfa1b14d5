package pace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The limit rises by one for each answer and halves for each missing answer.
func TestThrottleFollowsTheAPIServer(t *testing.T) {
	gate := New(8)
	var got []int
	for _, answered := range []bool{true, true, true, false, true, false, false, false, true, true, true, true, true, true, true, true, true} {
		if err := gate.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		gate.Leave(answered)
		got = append(got, gate.limit)
	}
	want := []int{2, 3, 4, 2, 3, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-want, +got):\n%s", diff)
	}
}

// There are never more turns than the limit, and every caller gets a turn.
func TestThrottleBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, workers = 4, 50
		gate := New(most)
		var inside, worst, served atomic.Int64
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				if err := gate.Enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				worst.Store(max(worst.Load(), inside.Add(1)))
				served.Add(1)
				inside.Add(-1)
				gate.Leave(i%5 != 0)
			})
		}
		all.Wait()
		if worst.Load() > most || served.Load() != workers || gate.inFlight != 0 || len(gate.waiting) != 0 {
			t.Errorf("%d at a time, %d served, %d in flight, %d waiting", worst.Load(), served.Load(), gate.inFlight, len(gate.waiting))
		}
	})
}

// A caller that gives up leaves no state behind, and delays no other.
func TestThrottleGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := New(1)
		if err := gate.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var left, served error
		var all sync.WaitGroup
		all.Go(func() { left = gate.Enter(ctx) })
		synctest.Wait()
		all.Go(func() { served = gate.Enter(t.Context()) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		gate.Leave(true)
		all.Wait()
		if !errors.Is(left, context.Canceled) || served != nil || gate.inFlight != 1 {
			t.Errorf("the caller that gave up got %v, the next %v, %d in flight", left, served, gate.inFlight)
		}
	})
}
