package schedtest

import (
	"context"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

// Must ends the test on an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Quiet returns the context of a test, with a logger at V(0): the scheduler logs much at V(5).
func Quiet(tb testing.TB) context.Context {
	tb.Helper()
	return klog.NewContext(tb.Context(), ktesting.NewLogger(tb, ktesting.NewConfig(ktesting.Verbosity(0))))
}
