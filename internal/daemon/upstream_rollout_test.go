package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// round carries out everything that can be done before a pod is gone or ready, and then lets the
// deleted pods go: a sync of upstream's controller. It returns what was done, as "+made -deleted".
func (c *cluster) round() string {
	before, deleted := c.made, 0
	for acted := true; acted; {
		acted = false
		c.cells.Grant(c.now)
		for _, node := range c.nodes {
			acted = c.act(node) || acted
		}
	}
	for _, node := range c.nodes {
		for _, pod := range c.podsOn(node) {
			if pod.Terminating {
				c.gone(pod)
				deleted++
			}
		}
	}
	var did []string
	if made := c.made - before; made > 0 {
		did = append(did, fmt.Sprintf("+%d", made))
	}
	if deleted > 0 {
		did = append(did, fmt.Sprintf("-%d", deleted))
	}
	return strings.Join(did, "")
}

// rounds are all there are until nothing is left to do.
func (c *cluster) rounds() []string {
	c.t.Helper()
	var did []string
	for range 100 {
		next := c.round()
		if next == "" {
			return did
		}
		did = append(did, next)
	}
	c.t.Fatal("the rollout does not end")
	return nil
}

// readyAll makes every pod ready, and reports whether any was not.
func (c *cluster) readyAll() (news bool) {
	for _, node := range c.nodes {
		for _, pod := range c.podsOn(node) {
			if !pod.Ready {
				c.ready(pod)
				news = true
			}
		}
	}
	return news
}

func (c *cluster) unready(pod *Pod) {
	pod.Ready = false
	c.observe(pod)
}

// readyPods are those that are ready, by UID.
func (c *cluster) readyPods() map[types.UID]string {
	found := map[types.UID]string{}
	for _, node := range c.nodes {
		for _, pod := range c.podsOn(node) {
			if pod.Ready {
				found[pod.UID] = node
			}
		}
	}
	return found
}

// A rollout over five nodes, round by round. Between rounds in which nothing can be done, pods
// become ready, unless none ever does.
func TestRolloutRounds(t *testing.T) {
	tests := map[string]struct {
		strategy   Strategy
		change     func(*cluster) // before the template changes
		revision   string         // r2 unless said
		neverReady bool
		want       string
	}{
		"two may be unavailable":                {strategy: unavailable("2"), want: "-2 +2 ready -2 +2 ready -1 +1 ready"},
		"half may be, rounded up":               {strategy: unavailable("50%"), want: "-3 +3 ready -2 +2 ready"},
		"two may surge":                         {strategy: surge("2"), want: "+2 ready +2-2 ready +1-2 ready -1"},
		"all may surge":                         {strategy: surge("100%"), want: "+5 ready -5"},
		"neither is allowed: one goes":          {strategy: Strategy{}, want: "-1 +1 ready -1 +1 ready -1 +1 ready -1 +1 ready -1 +1 ready"},
		"the same template: no pod is replaced": {strategy: unavailable("3"), revision: "r1", want: ""},
		"OnDelete: no pod is replaced":          {strategy: Strategy{OnDelete: true}, want: ""},
		"new pods that never become ready":      {strategy: unavailable("3"), neverReady: true, want: "-3 +3"},
		"surge pods that never are":             {strategy: surge("2"), neverReady: true, want: "+2"},
		"no old pod is ready: all go":           {strategy: unavailable("3"), change: nobodyReady, neverReady: true, want: "-5 +5"},
		"no old pod is ready, while surging": {
			strategy: surge("3"), change: nobodyReady, neverReady: true, want: "+5-5",
		},
		"a closed node loses its old pod last": {
			strategy: unavailable("2"), change: closeFirst, want: "-2 +2 ready -2 +2 ready -1",
		},
		"a closed node loses its old pod last, while surging": {
			// Its turn comes when the last of the others surges.
			strategy: surge("1"), change: closeFirst, want: "+1 ready +1-1 ready +1-1 ready +1-2 ready -1",
		},
		"a closed node keeps its old pod while another is not served": {
			strategy: unavailable("4"), change: closeFirst, neverReady: true, want: "-4 +4",
		},
		"a closed node keeps its old pod under OnDelete": {
			strategy: Strategy{OnDelete: true}, change: closeFirst, want: "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 5, test.strategy)
			if test.change != nil {
				test.change(c)
			}
			if test.revision == "" {
				test.revision = "r2"
			}
			c.update(test.revision)
			did := c.rounds()
			for !test.neverReady && c.readyAll() {
				did = append(append(did, "ready"), c.rounds()...)
			}
			if diff := cmp.Diff(test.want, strings.Join(did, " ")); diff != "" {
				t.Errorf("rounds (-want, +got):\n%s\n%s", diff, strings.Join(c.log, "\n"))
			}
		})
	}
}

func nobodyReady(c *cluster) {
	for _, node := range c.nodes {
		c.unready(c.podsOn(node)[0])
	}
}

func closeFirst(c *cluster) { c.cells.SetNode("n0", "n0", noSchedule, c.now) }

// A second update while the new pods of the first are not ready takes just these: what serves
// stays (k/k#123232).
func TestRolloutSecondUpdateTakesWhatDoesNotServe(t *testing.T) {
	c := newCluster(t, 5, unavailable("2"))
	for _, revision := range []string{"r2", "r3", "r4"} {
		c.update(revision)
		if diff := cmp.Diff([]string{"-2", "+2"}, c.rounds()); diff != "" {
			t.Errorf("rounds to %s (-want, +got):\n%s", revision, diff)
		}
		if serving := c.readyPods(); len(serving) != 3 {
			t.Errorf("with %s %d old pods serve, want 3", revision, len(serving))
		}
	}
}

// However low the limit is set meanwhile, pods that do not serve are replaced, and no other one is
// while there are as many of them as the limit or more.
func TestRolloutSavesHealthyPods(t *testing.T) {
	c := newCluster(t, 20, unavailable("10"))
	c.update("r2")
	if diff := cmp.Diff([]string{"-10", "+10"}, c.rounds()); diff != "" {
		t.Fatalf("rounds (-want, +got):\n%s", diff)
	}
	healthy := c.readyPods()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 10 {
		limit := random.IntN(11)
		c.strategy = unavailable(fmt.Sprint(limit))
		c.update(fmt.Sprintf("r%d", 3+i))
		if diff := cmp.Diff([]string{"-10", "+10"}, c.rounds()); diff != "" {
			t.Errorf("update %d, maxUnavailable %d: rounds (-want, +got):\n%s", i, limit, diff)
		}
		if diff := cmp.Diff(healthy, c.readyPods()); diff != "" {
			t.Errorf("update %d, maxUnavailable %d: pods that serve (-before, +after):\n%s", i, limit, diff)
		}
	}
	c.strategy = unavailable("11")
	c.update("last")
	if diff := cmp.Diff([]string{"-11", "+11"}, c.rounds()); diff != "" {
		t.Errorf("rounds (-want, +got):\n%s", diff)
	}
	if got := len(c.readyPods()); got != 9 {
		t.Errorf("%d pods serve, want 9", got)
	}
}

// New pods that are not available count against the limit and hold the others back; old ones that
// are not go all the same.
func TestRolloutWithUnavailablePodsOfBothRevisions(t *testing.T) {
	c := newCluster(t, 100, unavailable("10"))
	// The first 12 nodes have old pods, of which the first 10 serve; 88 have new ones, and none of these serves.
	old, lame := c.nodes[:12], c.nodes[10:]
	c.update("r2")
	for _, node := range c.nodes[12:] {
		pod := c.podsOn(node)[0]
		pod.Revision = "r2"
		c.observe(pod)
	}
	for _, node := range lame {
		c.unready(c.podsOn(node)[0])
	}
	serving := c.readyPods()
	if diff := cmp.Diff([]string{"-2", "+2"}, c.rounds()); diff != "" {
		t.Errorf("rounds (-want, +got):\n%s", diff)
	}
	if diff := cmp.Diff(serving, c.readyPods()); diff != "" || len(serving) != 10 {
		t.Errorf("pods that serve (-before, +after):\n%s", diff)
	}
	for i, node := range old {
		want := "r1"
		if i >= 10 {
			want = "r2"
		}
		if got := c.podsOn(node)[0].Revision; got != want {
			t.Errorf("node %d has a pod of %s, want %s", i, got, want)
		}
	}
}

// A node without a pod and one whose pod ends are without an available pod, and count.
func TestRolloutCountsEmptyNodes(t *testing.T) {
	for limit, want := range map[string]int{"50%": 0, "2": 0, "3": 1, "100%": 1} {
		t.Run(limit, func(t *testing.T) {
			c := newCluster(t, 3, unavailable(limit))
			c.gone(c.podsOn("n0")[0])
			ending := c.podsOn("n1")[0]
			ending.Terminating = true
			c.observe(ending)
			c.update("r2")
			if got := c.cells.Grant(c.now); len(got) != want {
				t.Errorf("granted %v, want %d", got, want)
			}
		})
	}
}

// A surge that another controller began counts: leave is no longer known, what stands is.
func TestRolloutCountsWhatSurgesAlready(t *testing.T) {
	for limit, want := range map[string]int{"1": 0, "2": 1, "100%": 4} {
		t.Run(limit, func(t *testing.T) {
			c := newCluster(t, 5, surge(limit))
			c.revision = "r2"
			c.make("n0", c.revision, true)
			c.update("r2")
			if got := c.cells.Grant(c.now); len(got) != want {
				t.Errorf("granted %v, want %d", got, want)
			}
			if plan := c.cells.Plan("n0", c.now); len(plan.Actions) > 0 {
				t.Errorf("n0: %v, want both pods left", described(plan))
			}
			// A node whose old pod was deleted by a user gets its new one, whatever the limit.
			ending := c.podsOn("n4")[0]
			ending.Terminating = true
			c.observe(ending)
			if diff := cmp.Diff([]string{"Create: Surge"}, described(c.cells.Plan("n4", c.now))); diff != "" {
				t.Errorf("n4 (-want, +got):\n%s", diff)
			}
		})
	}
}

// A pod that never comes to its end takes its place in the limit, and nothing else: what does not
// serve elsewhere is replaced (openkruise/kruise#657).
func TestRolloutPassesByAPodThatDoesNotEnd(t *testing.T) {
	c := newCluster(t, 3, unavailable("1"))
	stuck := c.podsOn("n0")[0]
	stuck.Terminating = true
	c.observe(stuck)
	c.unready(c.podsOn("n2")[0])
	c.update("r2")
	if diff := cmp.Diff([]string{"n2"}, c.cells.Grant(c.now)); diff != "" {
		t.Errorf("granted (-want, +got):\n%s", diff)
	}
}

// A surge pod that a node rejects again and again is made after the back-off of any finished pod
// (k/k#124388), and the old pod serves all the time.
func TestSurgeBacksOff(t *testing.T) {
	c := newCluster(t, 1, surge("1"))
	old := c.podsOn("n0")[0]
	c.update("r2")
	start, made := c.now, c.made
	for c.now.Sub(start).Minutes() < 10 {
		c.cells.Grant(c.now)
		for _, action := range c.cells.Plan("n0", c.now).Actions {
			if action.Op == Create {
				c.make("n0", action.Revision, action.Reason == ReasonSurge)
				continue
			}
			rejected := c.pods[action.Pod.UID]
			if rejected == old {
				t.Fatal("the old pod goes, and no other serves")
			}
			c.gone(rejected)
			c.cells.Replaced("n0", c.now)
		}
		for _, pod := range c.podsOn("n0") {
			if pod != old && !pod.Finished {
				pod.Finished = true
				c.observe(pod)
			}
		}
		c.now = c.now.Add(1e9)
	}
	// One at once, and one after each of 0, 1, 2, 4 … 256 s; the next is due after 512.
	if got := c.made - made; got < 9 || got > 11 {
		t.Errorf("%d surge pods were made in 10 minutes, want about 10 (S8)", got)
	}
}
