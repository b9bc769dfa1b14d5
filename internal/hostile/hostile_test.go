package hostile

import "testing"

// What a benchmark is to measure has to be as large as it may be.
func TestObjectsAreAsLargeAsMayBe(t *testing.T) {
	for _, kind := range []string{"terms", "labels", "containers"} { // one list of each sort
		for of, size := range map[string]int{"pod": Pod(kind).Size(), "template": Template(kind).Size()} {
			if size > Limit || size < Limit*9/10 {
				t.Errorf("%s of %s has %d bytes, want up to %d", of, kind, size, Limit)
			}
		}
	}
}
