package faults

import (
	"testing"

	"github.com/everynode/everynode/test/lab"
)

// An exit is expected for what the process itself logged, and not for what its predecessor did.
func TestExpectedExits(t *testing.T) {
	const lost, other = "E1130 Leader election lost\n", "panic: runtime error\n"
	start := lab.Starting + "everynode-controller\n"
	for name, test := range map[string]struct {
		log  string
		want bool
	}{
		"itself":                      {start + lost, true},
		"itself, the start is gone":   {lost, true},
		"its predecessor":             {start + lost + start + other, false},
		"its predecessor was a panic": {start + other + start + lost, true},
		"neither":                     {start + other, false},
	} {
		if got := expected("everynode-controller ended; the end of its log:\n"+test.log, leasesLost); got != test.want {
			t.Errorf("%s: expected is %t, want %t", name, got, test.want)
		}
	}
}
