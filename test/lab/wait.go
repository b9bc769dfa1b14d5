package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Eventually polls until the answer is "" (the condition holds), and returns the last answer when ctx ends
// first. An error counts as "not yet", because the API server may be unreachable.
func Eventually(ctx context.Context, what string, missing func(context.Context) (string, error)) error {
	tick := time.NewTicker(conditionPoll)
	defer tick.Stop()
	last := "not checked"
	for {
		answer, err := missing(ctx)
		switch {
		case err == nil && answer == "":
			return nil
		case err == nil:
			last = answer
		case ctx.Err() == nil: // an attempt that ctx interrupted does not count
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w (last: %s)", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// inParallel runs the tasks, at most limit at a time (0: all), and joins their errors. The first error cancels
// the context of the others.
func inParallel(ctx context.Context, limit int, tasks ...func(context.Context) error) error {
	if limit == 0 {
		limit = len(tasks)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		all   sync.WaitGroup
		slots = make(chan struct{}, limit)
		errs  = make([]error, len(tasks))
	)
	for i, task := range tasks {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if errs[i] = task(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return rootCauses(errs)
}

// rootCauses drops the errors of tasks that another one's failure cancelled.
func rootCauses(errs []error) error {
	var causes []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			causes = append(causes, err)
		}
	}
	if len(causes) == 0 {
		return errors.Join(errs...)
	}
	return errors.Join(causes...)
}
