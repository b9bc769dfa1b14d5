package hostile

import "testing"

// Objects for benchmarks are as large as the API server accepts.
func TestObjectsAreAsLargeAsMayBe(t *testing.T) {
	for _, kind := range []string{"terms", "labels", "containers"} { // one list of each kind
		for of, size := range map[string]int{"pod": Pod(kind).Size(), "template": Template(kind).Size()} {
			if size > Limit || size < Limit*9/10 {
				t.Errorf("%s of %s has %d bytes, want up to %d", of, kind, size, Limit)
			}
		}
	}
}
