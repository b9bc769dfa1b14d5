package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unique"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pendingPod(message string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "agent-n1-abc"}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
	return pod
}

func TestWhyAPodWaits(t *testing.T) {
	bound := func(phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{Phase: phase}}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string // reason: message; "" when it does not wait
	}{
		"our scheduler":          {pendingPod("0/1 nodes are available: node n1: Insufficient cpu."), "Unschedulable: Insufficient cpu"},
		"another scheduler":      {pendingPod("0/5 nodes are available: 1 Insufficient memory, 4 node(s) didn't match."), "Unschedulable: 1 Insufficient memory, 4 node(s) didn't match"},
		"a text with names":      {pendingPod("node n1 has no room for agent-n1-abc"), "Unschedulable: node * has no room for *"},
		"no text":                {pendingPod(""), "Unschedulable: the scheduler gives no reason"},
		"the count alone":        {pendingPod("0/1 nodes are available: "), "Unschedulable: 0/1 nodes are available:"},
		"no scheduler answered":  {&corev1.Pod{}, "NotScheduled: no scheduler has answered yet"},
		"bound, and not started": {bound(corev1.PodPending), "NotStarted: its node has not started it yet"},
		"it runs":                {bound(corev1.PodRunning), ""},
		"it has run":             {bound(corev1.PodFailed), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cause, waits := causeOfWait(test.pod, "n1")
			got := ""
			if waits {
				got = cause.Value().Reason + ": " + cause.Value().Message
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// The text of a status comes from any writer.
func TestWaitsAreBoundedAndPrintable(t *testing.T) {
	for name, text := range map[string]string{
		"megabytes":          strings.Repeat("full ", 1<<18),
		"control characters": "bad\x00\x1b[31mred\r\nnext" + strings.Repeat("\n", 5000),
		"not UTF-8":          strings.Repeat("\xff\xfe", 4000),
		"many names":         strings.Repeat("n1", 1<<17),
	} {
		pod := pendingPod(text)
		pod.Status.Conditions[0].Reason = "no reason of a condition\n"
		cause, _ := causeOfWait(pod, "n1")
		problem := cause.Value()
		if problem.Reason != "Unschedulable" || len(problem.Message) > shownWait || strings.ContainsFunc(problem.Message, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: %q, %d bytes", name, problem.Reason, len(problem.Message))
		}
	}
}

// Pods that wait for the same reason, wherever, share its text.
func TestWaitsAreShared(t *testing.T) {
	first, _ := causeOfWait(pendingPod("0/1 nodes are available: node n1: Insufficient cpu."), "n1")
	other := pendingPod("0/1 nodes are available: node n2: Insufficient cpu.")
	other.Name = "agent-n2-def"
	if second, _ := causeOfWait(other, "n2"); first != second {
		t.Errorf("%+v and %+v are two causes", first.Value(), second.Value())
	}
}

func TestWaitingNodesAreGroupedByDeltas(t *testing.T) {
	var kept waitingNodes
	model := map[string]waitingNode{}
	random := rand.New(rand.NewPCG(12, 1))
	for range 5000 {
		node := fmt.Sprintf("n%02d", random.IntN(30))
		if random.IntN(3) == 0 {
			kept.clear(node)
			delete(model, node)
		} else {
			one := waitingNode{node, unique.Make(Problem{Message: fmt.Sprint("cause ", random.IntN(4))}), t0.Add(time.Duration(random.IntN(3)) * time.Second)}
			kept.set(one.node, one.cause, one.since)
			model[node] = one
		}
		var again waitingNodes
		for _, one := range model {
			again.set(one.node, one.cause, one.since)
		}
		if diff := cmp.Diff(again.groups(), kept.groups()); diff != "" {
			t.Fatalf("groups (-from the beginning, +kept):\n%s", diff)
		}
		total := 0
		for _, group := range kept.groups() {
			total += group.Total
		}
		if total != len(model) || len(kept.byNode) != len(model) {
			t.Fatalf("%d nodes in groups, %d kept, want %d", total, len(kept.byNode), len(model))
		}
	}
}
