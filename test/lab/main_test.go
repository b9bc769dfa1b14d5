package lab

import (
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind but the one that starts processes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/everynode/everynode/test/lab.(*anchor).serve"))
}
