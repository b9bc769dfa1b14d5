package faults

import (
	"fmt"
	"os"
	"testing"

	"github.com/everynode/everynode/test/faults/observer"
	"github.com/everynode/everynode/test/labtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == observer.Command {
		os.Exit(observer.Main(os.Args[2:]))
	}
	labtest.VerifyMain(withStage{m})
}

// withStage stops the shared lab after all tests.
type withStage struct{ *testing.M }

func (w withStage) Run() int {
	code := w.M.Run()
	if err := shared.stop(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
