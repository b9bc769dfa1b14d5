package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// replicas are the processes that were started in addition to the lab's own.
type replicas struct {
	mu    sync.Mutex
	known []*Component
}

// Replica starts another process of a component of Everynode, with additional arguments, and waits until it is
// ready. It has its own ports, and ends with the lab or through its handle. Leader election is on; disable it
// for a replica that should work beside the first one.
func (l *Lab) Replica(ctx context.Context, of string, args ...string) (*Component, error) {
	if !isEverynode(of) {
		return nil, fmt.Errorf("lab: a replica of %s: only Everynode's own components have replicas", of)
	}
	held, ports, err := reserve(specs[of].ports)
	if err != nil {
		return nil, fmt.Errorf("lab: a replica of %s: %w", of, err)
	}
	c := l.replicas.add(func(number int) *Component {
		return l.newComponent(of, fmt.Sprintf("%s-replica-%d", of, number), l.Component(of).path, held, ports)
	})
	c.args = slices.Concat(l.argsOf(c), args)
	if err := c.Restart(ctx); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return c, nil
}

func (r *replicas) add(newReplica func(number int) *Component) *Component {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := newReplica(len(r.known) + 1)
	r.known = append(r.known, c)
	return c
}

func (r *replicas) stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, c := range r.known {
		errs = append(errs, c.Stop(ctx))
	}
	return errors.Join(errs...)
}
