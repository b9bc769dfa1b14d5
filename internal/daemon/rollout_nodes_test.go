package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// moving is a cluster whose nodes close and open while a rollout is on its way.
type moving struct {
	*cluster
	verdicts map[string]Verdict
}

func newMoving(t *testing.T, nodes int, strategy Strategy) *moving {
	m := &moving{cluster: newCluster(t, nodes, strategy), verdicts: map[string]Verdict{}}
	for _, node := range m.nodes {
		m.verdicts[node] = eligible
	}
	return m
}

func (m *moving) turn(node string, verdict Verdict) {
	m.notef("%s: %s", node, verdict.Reason)
	m.verdicts[node] = verdict
	m.cells.SetNode(node, types.UID(node), verdict, m.now)
}

// without is how many nodes that should run a pod have no available one.
func (m *moving) without() (without, desired int) {
	for _, node := range m.nodes {
		if !m.verdicts[node].ShouldRun {
			continue
		}
		desired++
		serves := false
		for _, pod := range m.podsOn(node) {
			serves = serves || pod.Ready && !pod.Terminating
		}
		if !serves {
			without++
		}
	}
	return without, desired
}

// actOn carries out a node's plan, and holds it to S3 and S4: nothing is made where nothing may
// start, and what the rollout takes keeps to its limit, whatever else fails in the meantime.
func (m *moving) actOn(node string) {
	m.t.Helper()
	verdict := m.verdicts[node]
	for _, action := range m.cells.Plan(node, m.now).Actions {
		if action.Op == Create && !verdict.ShouldRun {
			m.t.Fatalf("S3: a pod is made on %s: %s\n%s", node, verdict.Reason, strings.Join(m.log, "\n"))
		}
		if action.Op == Delete && action.Pod.Ready && verdict.ShouldRun && action.Reason == ReasonOutdated {
			without, desired := m.without()
			if limit, _ := m.strategy.limits(desired); !m.strategy.surges() && without >= limit {
				m.t.Fatalf("S4: %d of %d nodes are without an available pod, %d may, and %s loses its\n%s", without, desired, limit, node, strings.Join(m.log, "\n"))
			}
		}
	}
	m.act(node)
}

// step lets something happen; between leave that is given and its use, happens may too.
func (m *moving) step(random *rand.Rand, happens func()) (some bool) {
	m.cells.Grant(m.now)
	happens()
	m.now = m.now.Add(time.Second)
	steps := m.steps()
	if len(steps) == 0 {
		return false
	}
	step := steps[random.IntN(len(steps))]
	if node, acts := strings.CutPrefix(step.name, "act "); acts {
		m.actOn(node)
	} else {
		step.do()
	}
	return true
}

// settled wants an available pod of the current revision on every node that takes one, none where
// none may stay, and none of an old revision where none may start.
func (m *moving) settled() {
	m.t.Helper()
	for _, node := range m.nodes {
		verdict, pods := m.verdicts[node], m.podsOn(node)
		switch {
		case verdict.ShouldRun && (len(pods) != 1 || !pods[0].Ready || pods[0].Revision != m.revision),
			!verdict.ShouldRun && verdict.ShouldContinue && (len(pods) > 1 || len(pods) == 1 && pods[0].Revision != m.revision),
			!verdict.ShouldContinue && len(pods) > 0:
			m.t.Fatalf("%s (%s) ends with %d pods: %+v\n%s", node, verdict.Reason, len(pods), pods, strings.Join(m.log, "\n"))
		}
	}
}

// Nodes that close, open and lose the right to run a pod while a template changes back and forth: S3 and S4
// hold in every step, and the end depends on the last template and the nodes alone (L4).
func TestRolloutWhileNodesChange(t *testing.T) {
	noExecute := Verdict{Reason: ReasonNoExecuteTaint, Message: "node n1 has a NoExecute taint"}
	turns := []Verdict{eligible, noSchedule, noExecute, eligible}
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, uint64(time.Now().UnixNano())}
	for name, strategy := range strategies {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%s/seed %d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 2))
				m := newMoving(t, 10, strategy)
				m.update("r2")
				for range 80 {
					m.step(random, func() {
						switch random.IntN(12) {
						case 0, 1, 2:
							m.turn(m.nodes[random.IntN(len(m.nodes))], turns[random.IntN(len(turns))])
						case 3:
							m.update([]string{"r1", "r2", "r3"}[random.IntN(3)])
						}
					})
				}
				for range 1000 {
					if !m.step(random, func() {}) {
						break
					}
				}
				m.settled()
			})
		}
	}
}

// An unused permit ends when nodes lose a pod in the meantime for another reason.
func TestRolloutLeaveEndsWhenOthersLackAPod(t *testing.T) {
	m := newMoving(t, 3, unavailable("1"))
	m.turn("n2", Verdict{Reason: ReasonNodeSelector})
	m.actOn("n2")
	m.gone(m.podsOn("n2")[0])
	m.update("r2")
	if got := m.cells.Grant(m.now); len(got) != 1 || got[0] != "n0" {
		t.Fatalf("leave is given to %v, want n0", got)
	}
	m.turn("n2", eligible)
	m.actOn("n0")
	if pods := m.podsOn("n0"); pods[0].Terminating {
		t.Errorf("n0 loses its pod while n2 has none:\n%s", strings.Join(m.log, "\n"))
	}
	m.actOn("n2")
	m.ready(m.podsOn("n2")[0])
	if got := m.cells.Grant(m.now); len(got) != 1 || got[0] != "n0" {
		t.Errorf("once n2 is served leave is given to %v, want n0", got)
	}
}
