package soak

import (
	"testing"

	"github.com/everynode/everynode/test/labtest"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { labtest.VerifyMain(m) }
