package daemon

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestPodName(t *testing.T) {
	long := strings.Repeat("x", 60)
	tests := map[string]struct {
		daemon, node string
		wantPrefix   string
	}{
		"readable":            {daemon: "log-collector", node: "worker-1", wantPrefix: "log-collector-worker-1-"},
		"dots become dashes":  {daemon: "agent", node: "ip-10-0-0-1.example.com", wantPrefix: "agent-ip-10-0-0-1-example-com-"},
		"a long node is cut":  {daemon: "agent", node: long, wantPrefix: "agent-xxxx"},
		"a long daemon too":   {daemon: long, node: "worker-1", wantPrefix: "xxxx"},
		"both are cut evenly": {daemon: strings.Repeat("a", 60), node: strings.Repeat("b", 60), wantPrefix: strings.Repeat("a", 27) + "-" + strings.Repeat("b", 26)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := PodName(test.daemon, test.node, 0)
			if !strings.HasPrefix(got, test.wantPrefix) {
				t.Errorf("PodName(%q, %q, 0) = %q, want prefix %q", test.daemon, test.node, got, test.wantPrefix)
			}
		})
	}
}

// A name must be a valid hostname and tell (daemon, node, slot) apart, the confusable ones too.
func TestPodNameIsALabelAndTellsApart(t *testing.T) {
	object := rapid.StringMatching(`[a-c]([a-c.-]{0,80}[a-c])?`).Filter(func(s string) bool {
		return len(validation.IsDNS1123Subdomain(s)) == 0
	})
	rapid.Check(t, func(t *rapid.T) {
		daemon, node, slot := object.Draw(t, "daemon"), object.Draw(t, "node"), rapid.IntRange(0, 1).Draw(t, "slot")
		name := PodName(daemon, node, slot)
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Fatalf("PodName(%q, %q, %d) = %q: %v", daemon, node, slot, name, problems)
		}
		daemon2, node2, slot2 := object.Draw(t, "daemon2"), object.Draw(t, "node2"), rapid.IntRange(0, 1).Draw(t, "slot2")
		same := daemon == daemon2 && node == node2 && slot == slot2
		if got := PodName(daemon2, node2, slot2) == name; got != same {
			t.Fatalf("(%q, %q, %d) and (%q, %q, %d): same name %v, want %v", daemon, node, slot, daemon2, node2, slot2, got, same)
		}
	})
}

func TestPodNameTellsConfusablesApart(t *testing.T) {
	if PodName("a-b", "c", 0) == PodName("a", "b-c", 0) {
		t.Error("a-b on c and a on b-c share a name")
	}
	if PodName("a", "n", 0) == PodName("a", "n", 1) {
		t.Error("the two slots share a name")
	}
}
