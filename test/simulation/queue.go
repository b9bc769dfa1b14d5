package simulation

import (
	"context"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// queue is a work queue with its workers, as controller-runtime runs them: a key is waiting once, one worker at a time has it,
// and delays end by the virtual clock.
type queue[K comparable] struct {
	name      string
	workers   int
	reconcile func(context.Context, K) (reconcile.Result, error)
	limiter   workqueue.TypedRateLimiter[K]
	process   *process

	waiting []K
	delayed []delayedKey[K]
	busy    []K // with a worker
	again   []K // of these, those that are due again
}

type delayedKey[K comparable] struct {
	key K
	at  time.Time
}

// work is a queue of any keys.
type work interface {
	// startable returns whether a key waits and a worker is idle.
	startable() bool
	// start returns the task of a worker with one of the waiting keys.
	start() *task
	// expire makes keys wait whose delay has ended, and returns when the next one ends; zero if there is none.
	expire(now time.Time) time.Time
}

func (q *queue[K]) add(key K) {
	switch {
	case slices.Contains(q.busy, key):
		if !slices.Contains(q.again, key) {
			q.again = append(q.again, key)
		}
	case !slices.Contains(q.waiting, key):
		q.waiting = append(q.waiting, key)
	}
}

func (q *queue[K]) addAfter(key K, after time.Duration) {
	if after <= 0 {
		q.add(key)
		return
	}
	at := q.process.cluster.clock.Now().Add(after)
	for i := range q.delayed {
		if q.delayed[i].key == key {
			if at.Before(q.delayed[i].at) {
				q.delayed[i].at = at
			}
			return
		}
	}
	q.delayed = append(q.delayed, delayedKey[K]{key, at})
}

func (q *queue[K]) startable() bool { return len(q.waiting) > 0 && len(q.busy) < q.workers }

func (q *queue[K]) start() *task {
	i := q.process.cluster.random.IntN(len(q.waiting))
	key := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.busy = append(q.busy, key)
	return newTask(q.name, func(ctx context.Context) {
		result, err := q.reconcile(ctx, key)
		q.done(key, result, err)
	})
}

func (q *queue[K]) done(key K, result reconcile.Result, err error) {
	q.busy = slices.DeleteFunc(q.busy, func(other K) bool { return other == key })
	if i := slices.Index(q.again, key); i >= 0 {
		q.again = slices.Delete(q.again, i, i+1)
		q.add(key)
	}
	switch {
	case err != nil:
		q.addAfter(key, q.limiter.When(key))
	case result.RequeueAfter > 0:
		q.limiter.Forget(key)
		q.addAfter(key, result.RequeueAfter)
	default:
		q.limiter.Forget(key)
	}
}

func (q *queue[K]) expire(now time.Time) (next time.Time) {
	q.delayed = slices.DeleteFunc(q.delayed, func(d delayedKey[K]) bool {
		if d.at.After(now) {
			if next.IsZero() || d.at.Before(next) {
				next = d.at
			}
			return false
		}
		q.add(d.key)
		return true
	})
	return next
}
