package lab

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const (
	// testStartLimit bounds the start of a test's lab, on a machine that does other things too.
	testStartLimit = 2 * time.Minute
	testStopLimit  = 30 * time.Second
)

// Start starts a lab for a test and stops it when the test ends. The lab's folder is removed,
// unless the test failed: then the test names it, for its logs.
func Start(t testing.TB, options Options) *Lab {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), testStartLimit, fmt.Errorf("the lab did not start within %s", testStartLimit))
	defer cancel()
	l, err := New(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.temporary = false
			t.Logf("the lab's logs: %s", l.path("logs"))
		}
		ctx, cancel := context.WithTimeout(context.Background(), testStopLimit)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Errorf("stopping the lab: %v", err)
		}
	})
	return l
}
