package lab

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/everynode/everynode/test/race"
)

var (
	// testStartLimit bounds the start of a test's lab on a busy machine; each node adds testNodeLimit.
	testStartLimit = race.Limit(2 * time.Minute)
	testNodeLimit  = race.Limit(100 * time.Millisecond)
	testStopLimit  = race.Limit(30 * time.Second)
)

// Start starts a lab for a test and stops it when the test ends. The lab's folder is removed unless the test
// fails, which then prints it.
func Start(t testing.TB, options Options) *Lab {
	t.Helper()
	limit := testStartLimit + time.Duration(options.Nodes)*testNodeLimit
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the lab did not start within %s", limit))
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
