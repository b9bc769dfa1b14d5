package metric

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A counter has all its series from the start.
func TestSeriesBeginWithZero(t *testing.T) {
	vector := NewCounterVec("everynode_tests_total", "Tests.", Label{Name: "outcome", Values: []string{"passed", "failed"}}, Label{Name: "by", Values: []string{"ci"}})
	want := `# HELP everynode_tests_total Tests.
# TYPE everynode_tests_total counter
everynode_tests_total{by="ci",outcome="failed"} 0
everynode_tests_total{by="ci",outcome="passed"} 0
`
	if err := testutil.CollectAndCompare(vector, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if got := testutil.CollectAndCount(NewCounterVec("everynode_kinds_total", "Kinds.", Label{Name: "kind", Meaning: "a kind"})); got != 0 {
		t.Errorf("%d series of a label with any value, want none", got)
	}
	var names []string
	for _, declaration := range Declared() {
		names = append(names, declaration.Name)
	}
	if diff := cmp.Diff([]string{"everynode_kinds_total", "everynode_tests_total"}, names); diff != "" || !slices.IsSorted(names) {
		t.Errorf("declared (-want, +got):\n%s", diff)
	}
}
