package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Eventually asks until the answer is "" (it holds), and says what was missing last when ctx ends
// first. An error of a question is taken as "not yet": the API server may be away.
func Eventually(ctx context.Context, what string, missing func(context.Context) (string, error)) error {
	tick := time.NewTicker(conditionPoll)
	defer tick.Stop()
	last := "nothing was asked"
	for {
		answer, err := missing(ctx)
		switch {
		case err == nil && answer == "":
			return nil
		case err == nil:
			last = answer
		case ctx.Err() == nil: // a question that the end of ctx cut short says nothing
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w (last: %s)", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// inParallel runs the tasks, at most limit at a time (0: all), and joins their errors. The first
// error cancels the context of the others.
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

// rootCauses drops the errors that only say that another one cancelled them.
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
