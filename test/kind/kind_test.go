package kind

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValuesWith(t *testing.T) {
	below := Values{"a": Values{"x": 1, "y": 2}, "b": "text", "c": Values{"z": 3}}
	for name, test := range map[string]struct{ over, want Values }{
		"nothing":                 {nil, below},
		"a value of a map":        {Values{"a": Values{"y": 5}}, Values{"a": Values{"x": 1, "y": 5}, "b": "text", "c": Values{"z": 3}}},
		"another value for a map": {Values{"a": "text"}, Values{"a": "text", "b": "text", "c": Values{"z": 3}}},
		"a new key":               {Values{"d": true}, Values{"a": Values{"x": 1, "y": 2}, "b": "text", "c": Values{"z": 3}, "d": true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, below.With(test.over)); diff != "" {
				t.Errorf("(-want, +got):\n%s", diff)
			}
		})
	}
}

// A cluster that this program did not create is never deleted.
func TestDeletesOnlyItsOwnClusters(t *testing.T) {
	err := (&Cluster{Name: "precious"}).Delete(t.Context())
	if err == nil || !strings.Contains(err.Error(), "was not created by this program") {
		t.Errorf("error %v, want one about a cluster that this program did not create", err)
	}
}
