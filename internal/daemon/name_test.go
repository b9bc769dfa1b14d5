package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

// nameOf is the name of a pod of a daemon whose UID is uid.
func nameOf(uid, daemon, node, after string, spare bool) string {
	return (&Template{Owner: metav1.OwnerReference{UID: types.UID(uid)}, Name: daemon}).PodName(node, after, spare)
}

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
			got := nameOf("u", test.daemon, test.node, "p", false)
			if !strings.HasPrefix(got, test.wantPrefix) {
				t.Errorf("the name for %q on %q is %q, want prefix %q", test.daemon, test.node, got, test.wantPrefix)
			}
		})
	}
}

// A name must be a valid hostname and distinguish what it depends on, the confusable ones too.
func TestPodNameIsALabelAndDistinguishes(t *testing.T) {
	object := rapid.StringMatching(`[a-c]([a-c.-]{0,80}[a-c])?`).Filter(func(s string) bool {
		return len(validation.IsDNS1123Subdomain(s)) == 0
	})
	type parts struct {
		uid, node, after string
		spare            bool
	}
	draw := func(t *rapid.T, which string) parts {
		return parts{
			rapid.SampledFrom([]string{"u", "v"}).Draw(t, "uid"+which), object.Draw(t, "node"+which),
			rapid.SampledFrom([]string{"", "p", "p/q", "q"}).Draw(t, "after"+which), rapid.Bool().Draw(t, "spare"+which),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		daemon := object.Draw(t, "daemon")
		a, b := draw(t, "1"), draw(t, "2")
		name := nameOf(a.uid, daemon, a.node, a.after, a.spare)
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Fatalf("%q on %q: %q: %v", daemon, a.node, name, problems)
		}
		if other := nameOf(b.uid, daemon, b.node, b.after, b.spare); (other == name) != (a == b) {
			t.Fatalf("%+v is %q and %+v is %q", a, name, b, other)
		}
	})
}

func TestPodNameDistinguishesConfusables(t *testing.T) {
	if nameOf("u", "a-b", "c", "p", false) == nameOf("v", "a", "b-c", "p", false) {
		t.Error("a-b on c and a on b-c share a name")
	}
}

// Whatever happens to the pods of a cell, a name that a pod had is not given again, and a controller that has seen
// nothing but the pods that are there and the last one that left gives the same name.
func TestNamesVanishWithTheirPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cells Cells
		cells.SetNode("n1", "uid-n1", eligible, t0)
		had := map[string]types.UID{} // what a name came after, by that
		var there []types.UID
		made := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if len(there) == 0 || len(there) < 3 && rapid.Bool().Draw(t, "makes") {
				made++
				uid, after := types.UID(fmt.Sprintf("pod-%d", made)), cells.After("n1")
				if former, again := had[after]; again {
					t.Fatalf("pod %s comes after %q, as pod %s did", uid, after, former)
				}
				had[after] = uid
				cells.SetPod("n1", &Pod{Name: string(uid), UID: uid, Created: t0.Add(time.Duration(made))}, t0)
				there = append(there, uid)
				continue
			}
			at := rapid.IntRange(0, len(there)-1).Draw(t, "leaves")
			cells.RemovePod("n1", there[at], t0)
			there = slices.Delete(there, at, at+1)
		}
	})
}

// Beside the pod that is replaced and when it is gone a controller gives one name, so that another, whose watch is ahead, meets it.
func TestControllersMeetAtANameOfOnePod(t *testing.T) {
	var cells Cells
	cells.SetNode("n1", "uid-n1", eligible, t0)
	for i := range 5 {
		uid := types.UID(fmt.Sprint(i))
		var later Cells // of a controller that begins now
		later.SetNode("n1", "uid-n1", eligible, t0)
		cells.SetPod("n1", &Pod{Name: "p", UID: uid}, t0)
		later.SetPod("n1", &Pod{Name: "p", UID: uid}, t0)
		beside := cells.After("n1")
		cells.RemovePod("n1", uid, t0)
		later.RemovePod("n1", uid, t0)
		if after := cells.After("n1"); after != beside || beside != string(uid) || later.After("n1") != after {
			t.Errorf("beside pod %s a new one comes after %q, when it is gone after %q, or %q", uid, beside, after, later.After("n1"))
		}
	}
	if got := cells.After("n2"); got != "" {
		t.Errorf("n2 had no pod, but a pod comes after %s", got)
	}
}
