package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func inNamespace(namespace, node string) CellKey {
	return CellKey{Namespace: namespace, Owner: types.UID("daemon-" + namespace), Node: node}
}

// A tenant with many blocked nodes delays only its own probes.
func TestNamespacesTakeTurns(t *testing.T) {
	var probes Probes
	for i := range 1000 {
		probes.Set(inNamespace("a-hoards", fmt.Sprintf("n%03d", i)), t0)
	}
	probes.Set(inNamespace("b", "n1"), t0.Add(time.Second))
	probes.Set(inNamespace("b", "n2"), t0.Add(time.Second))
	probes.Set(inNamespace("c", "n1"), t0.Add(2*time.Second))
	var got []string
	for range 6 {
		cell, due := probes.Next(t0.Add(time.Second))
		got = append(got, fmt.Sprint(cell.Namespace, "/", cell.Node, " ", due))
	}
	want := []string{"a-hoards/n000 true", "b/n1 true", "a-hoards/n001 true", "b/n2 true", "a-hoards/n002 true", "a-hoards/n003 true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("probes (-want, +got):\n%s", diff)
	}
}

func TestProbesAreDueInTheirOrder(t *testing.T) {
	var probes Probes
	if _, due := probes.Next(t0); due {
		t.Error("a probe is due where there is none")
	}
	probes.Clear(inNamespace("a", "n1"))
	probes.Set(inNamespace("a", "n1"), t0.Add(3*time.Second))
	probes.Set(inNamespace("a", "n2"), t0.Add(2*time.Second))
	probes.Set(inNamespace("a", "n3"), t0.Add(time.Second))
	probes.Set(inNamespace("a", "n1"), t0)
	probes.Clear(inNamespace("a", "n3"))
	if probes.Len() != 2 {
		t.Errorf("%d cells, want 2", probes.Len())
	}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "n1"}, {0, ""}, {time.Second, ""}, {2 * time.Second, "n2"}, {time.Hour, ""}} {
		if cell, due := probes.Next(t0.Add(step.after)); cell.Node != step.want || due != (step.want != "") {
			t.Errorf("after %s %q is due (%v), want %q", step.after, cell.Node, due, step.want)
		}
	}
	if probes.Len() != 0 || len(probes.due) != 0 || probes.ring.Len() != 0 {
		t.Error("something is left")
	}
}
