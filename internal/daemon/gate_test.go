package daemon

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everynode/everynode/api/v1alpha1"
)

func TestNewStop(t *testing.T) {
	tests := map[string]struct {
		data map[string]string
		want Stop
	}{
		"no object":            {nil, Stop{}},
		"on":                   {map[string]string{"stop": "true"}, Stop{On: true}},
		"on, with a reason":    {map[string]string{"stop": "true", "reason": "INC-1"}, Stop{On: true, Reason: "INC-1"}},
		"off":                  {map[string]string{"stop": "false", "reason": "INC-1"}, Stop{}},
		"another value is off": {map[string]string{"stop": "yes"}, Stop{}},
		"text of a terminal":   {map[string]string{"stop": "true", "reason": "a\x1b[2J\nb"}, Stop{On: true, Reason: "a [2J b"}},
	}
	for name, test := range tests {
		if got := NewStop(test.data); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	long := NewStop(map[string]string{"stop": "true", "reason": strings.Repeat("ü", 1<<20)})
	if len(long.Reason) > shownStopReason {
		t.Errorf("a reason of %d bytes is kept", len(long.Reason))
	}
}

// The emergency stop ends permits that are not used, gives no other, and lets a replacement that has begun be finished. Missing
// pods are created.
func TestEmergencyStop(t *testing.T) {
	for name, strategy := range map[string]Strategy{"replacing": unavailable("2"), "surging": surge("2")} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5, strategy)
			c.cells.Stop = &Stop{}
			c.update("r2")
			if granted := c.cells.Grant(c.now); len(granted) != 2 {
				t.Fatalf("%v may be replaced, want two nodes", granted)
			}
			begun := c.nodes[0] // its replacement has begun
			c.act(begun)
			updated := func(node string) bool {
				return slices.ContainsFunc(c.podsOn(node), func(pod *Pod) bool { return pod.Revision == "r2" })
			}
			c.cells.Stop.On = true
			c.run(first, nil)
			if updated(c.nodes[1]) || c.cells.Grant(c.now) != nil {
				t.Errorf("%s was replaced, or others may be", c.nodes[1])
			}
			if !updated(begun) || c.cells.Counters().Updated != 1 {
				t.Errorf("the replacement on %s is not finished, or there were others: %+v", begun, c.cells.Counters())
			}
			c.gone(c.podsOn(c.nodes[4])[0])
			c.act(c.nodes[4])
			c.ready(c.podsOn(c.nodes[4])[0])
			if got := c.cells.Counters(); got.Available != 5 || got.Updated != 2 {
				t.Errorf("a pod that died was not created: %+v", got)
			}
			*c.cells.Stop = Stop{Unknown: true}
			if c.cells.Grant(c.now) != nil {
				t.Error("pods may be replaced although it is not known whether the stop is on")
			}
			*c.cells.Stop = Stop{}
			c.run(first, nil)
			if got := c.cells.Counters(); got.Updated != 5 {
				t.Errorf("after the stop %+v", got)
			}
		})
	}
}

// A suspended daemon loses its pods although the emergency stop is on: a user has asked for that.
func TestEmergencyStopLetsPodsEnd(t *testing.T) {
	c := newCluster(t, 3, unavailable("1"))
	c.cells.Stop = &Stop{On: true}
	c.suspend(true)
	c.drain(1, rand.New(rand.NewPCG(1, 1)))
}

// While a rollout is closed it is held as if it were paused, but what all nodes have becomes stable.
func TestClosedHold(t *testing.T) {
	hold := func(spec v1alpha1.Rollout) *Hold {
		hold, err := NewHold(&spec)
		if err != nil {
			t.Fatal(err)
		}
		return hold
	}
	if (*Hold)(nil).Closed() != nil {
		t.Error("a daemon without a rollout has one while it is closed")
	}
	if paused := hold(v1alpha1.Rollout{Paused: true}); paused.Closed() != paused {
		t.Error("a paused rollout changes while it is closed")
	}
	open := hold(v1alpha1.Rollout{})
	closed := open.Closed()
	if !closed.Paused || closed.joinOnUpdate || closed.restricts(3) || closed.same(open) || !closed.same(open.Closed()) {
		t.Errorf("closed it is %+v", closed)
	}
	if open.Paused || !open.joinOnUpdate {
		t.Errorf("closing it has changed it: %+v", open)
	}
	if !hold(v1alpha1.Rollout{NewNodes: v1alpha1.NewNodesUpdate}).Closed().joinOnUpdate {
		t.Error("newNodes Update has no effect while the rollout is closed")
	}
}

func TestClosedConditions(t *testing.T) {
	closure := (&Stop{On: true, Reason: "INC-1"}).Closure()
	behind := Counters{Desired: 3, Current: 3, Available: 3, Updated: 1}
	held := behind
	held.Held = 2
	complete := Counters{Desired: 3, Current: 3, Available: 3, Updated: 3}
	tests := map[string]struct {
		health Health
		want   string // reason of Progressing
		phase  v1alpha1.RolloutPhase
	}{
		"without a rollout":                {Health{Counters: behind}, v1alpha1.ReasonEmergencyStop, ""},
		"without a rollout, complete":      {Health{Counters: complete}, reasonComplete, ""},
		"OnDelete":                         {Health{Counters: behind, OnDelete: true}, reasonWaitsForUser, ""},
		"a pod is missing":                 {Health{Counters: Counters{Desired: 3, Current: 2, Updated: 1}}, reasonPodsMissing, ""},
		"suspended":                        {Health{Suspended: true}, reasonSuspended, ""},
		"a rollout":                        {Health{Counters: held, Rollout: heldRollout(t)}, v1alpha1.ReasonEmergencyStop, v1alpha1.RolloutHeld},
		"a rollout under OnDelete":         {Health{Counters: held, OnDelete: true, Rollout: heldRollout(t)}, v1alpha1.ReasonEmergencyStop, v1alpha1.RolloutHeld},
		"a rollout that is paused as well": {Health{Counters: held, Rollout: heldRollout(t, pause)}, reasonPaused, v1alpha1.RolloutPaused},
		"all nodes are updated":            {Health{Counters: complete, Rollout: heldRollout(t)}, v1alpha1.ReasonEmergencyStop, v1alpha1.RolloutHeld},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.health.Closed, test.health.Now = closure, time.Time{}
			got := test.health.progressing()
			if got.Reason != test.want {
				t.Errorf("Progressing is %s %s, want %s", got.Status, got.Reason, test.want)
			}
			if got.Reason == v1alpha1.ReasonEmergencyStop && (got.Status != "False" || !strings.Contains(got.Message, "the emergency stop is on (INC-1): no pod is replaced until ConfigMap everynode-system/everynode-stop is deleted")) {
				t.Errorf("Progressing is %s: %s", got.Status, got.Message)
			}
			if test.phase != "" && test.health.phase() != test.phase {
				t.Errorf("the phase is %s, want %s", test.health.phase(), test.phase)
			}
		})
	}
	if got := (&Stop{Unknown: true}).Closure(); got == nil || !strings.Contains(got.Message, "not known") {
		t.Errorf("unknown: %+v", got)
	}
	if (&Stop{}).Closure() != nil || (*Stop)(nil).Closure() != nil {
		t.Error("a stop that is off closes rollouts")
	}
}
