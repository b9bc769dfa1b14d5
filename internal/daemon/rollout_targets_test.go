package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// heldBack is a policy that holds nodes on revisions by their names, and those that joined on one revision.
type heldBack struct {
	nodes   map[string]string
	joiners string // empty: the update revision
}

func (h heldBack) Target(update string, node *NodeFacts) string {
	if revision, held := h.nodes[node.Name]; held {
		return revision
	}
	if h.joiners != "" && strings.HasPrefix(node.Name, joiner) {
		return h.joiners
	}
	return update
}

func (heldBack) Reads() Reads { return Reads{} }

// joiner is what the names of nodes that joined begin with.
const joiner = "new"

// staged is a cluster in which nodes have several targets, join and leave, and where pods die.
type staged struct {
	*moving
	held    map[string]string
	joiners string // the revision that nodes which join are held on, "" for none
	joined  int

	targets func(node string) string // replaces what is held
}

func newStaged(t *testing.T, nodes int, strategy Strategy) *staged {
	s := &staged{moving: newMoving(t, nodes, strategy), held: map[string]string{}}
	return s
}

// hold has nodes held on a revision, and those that join too if joiners is set.
func (s *staged) hold(revision string, nodes ...string) {
	for _, node := range nodes {
		if revision == "" {
			delete(s.held, node)
		} else {
			s.held[node] = revision
		}
	}
	s.decide()
}

// decide has every target decided by what is held now.
func (s *staged) decide() {
	s.policy = heldBack{nodes: maps.Clone(s.held), joiners: s.joiners}
	s.renew()
}

// target is the revision that a node's pod should have.
func (s *staged) target(node string) string {
	if s.targets != nil {
		return s.targets(node)
	}
	return TargetOf(&RolloutState{Update: s.revision, Policy: s.policy}, &NodeFacts{Name: node})
}

func (s *staged) join() {
	node := fmt.Sprintf("%s%d", joiner, s.joined)
	s.joined++
	s.notef("%s: joins", node)
	s.nodes = append(s.nodes, node)
	s.verdicts[node] = eligible
	s.cells.SetNode(node, types.UID(node), eligible, s.now)
}

func (s *staged) leave(node string) {
	s.notef("%s: leaves", node)
	s.nodes = slices.DeleteFunc(s.nodes, func(other string) bool { return other == node })
	delete(s.verdicts, node)
	s.cells.RemoveNode(node, s.now)
	for _, pod := range s.podsOn(node) {
		s.gone(pod)
	}
}

// dies ends a pod without a request of the controller: it is evicted, it fails, or it is not ready any more.
func (s *staged) dies(node string, how int) {
	pods := s.podsOn(node)
	if len(pods) == 0 {
		return
	}
	pod := pods[0]
	switch how {
	case 0:
		s.notef("%s: %s is evicted", node, pod.Name)
		s.gone(pod)
	case 1:
		s.notef("%s: %s fails", node, pod.Name)
		pod.Ready, pod.Finished, pod.Failed = false, true, true
		s.observe(pod)
	case 2:
		s.notef("%s: %s is not ready", node, pod.Name)
		pod.Ready = false
		s.observe(pod)
	}
}

// act carries out a node's plan, after it held each action to its target, to S3 and to S4. Whatever else takes pods
// away, the rollout only deletes one that is available while the limit allows it, and only one that is stale.
func (s *staged) act(node string) {
	s.t.Helper()
	verdict, target := s.verdicts[node], s.target(node)
	limit, mostSurge := s.strategy.limits(s.desired())
	for _, action := range s.cells.Plan(node, s.now).Actions {
		rolls := action.Reason == ReasonOutdated || action.Reason == ReasonHandedOver
		switch {
		case action.Op == Create && action.Revision != target:
			s.failf("%s: a pod of %s is made, its target is %s", node, action.Revision, target)
		case action.Op == Create && !verdict.ShouldRun:
			s.failf("S3: a pod is made on %s: %s", node, verdict.Reason)
		case action.Op == Create && action.Reason == ReasonSurge && s.surging(node) >= mostSurge && !s.ends(node):
			s.failf("S4: %d other nodes surge, %d may, and %s is to as well", s.surging(node), mostSurge, node)
		case action.Op == Delete && rolls && action.Pod.Revision == target:
			s.failf("%s: pod %s has its target %s and is replaced", node, action.Pod.Name, target)
		case action.Op == Delete && action.Reason == ReasonOutdated && action.Pod.Ready && verdict.ShouldRun && !s.strategy.surges():
			if unavailable, _ := s.without(); unavailable >= limit {
				s.failf("S4: %d nodes are without an available pod, %d may be, and %s loses its", unavailable, limit, node)
			}
		}
	}
	s.cluster.act(node)
}

func (s *staged) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.log, "\n"))
}

func (s *staged) desired() int {
	_, desired := s.without()
	return desired
}

// surging is how many eligible nodes have two live pods, a node left out.
func (s *staged) surging(without string) (n int) {
	for _, node := range s.nodes {
		alive := 0
		if !s.verdicts[node].ShouldRun {
			continue
		}
		for _, pod := range s.podsOn(node) {
			if !pod.Terminating && !pod.Finished {
				alive++
			}
		}
		if alive > 1 && node != without {
			n++
		}
	}
	return n
}

// ends reports whether all pods of a node are terminating: a successor beside them is no surge.
func (s *staged) ends(node string) bool {
	return !slices.ContainsFunc(s.podsOn(node), func(pod *Pod) bool { return !pod.Terminating })
}

// checkTargets holds S1 in the cluster as it is, and the sums to what is there.
func (s *staged) checkTargets() {
	s.t.Helper()
	updated, live := 0, map[string]bool{}
	for _, node := range s.nodes {
		live[s.target(node)] = true
		revisions := map[string]int{}
		for _, pod := range s.podsOn(node) {
			if pod.holds() {
				revisions[pod.Revision]++
			}
		}
		holding := 0
		for _, n := range revisions {
			holding += n
		}
		if holding > 2 || holding == 2 && len(revisions) == 1 && !s.ends(node) {
			s.failf("S1: node %s has pods %v", node, revisions)
		}
		if cell, _ := s.cells.at(node); s.verdicts[node].ShouldRun && len(cell.Pods) > 0 && cell.Pods[0].Revision == s.revision {
			updated++
		}
	}
	if got := s.cells.Counters().Updated; got != updated {
		s.failf("%d nodes count as updated, %d have a pod of %s", got, updated, s.revision)
	}
	for _, revision := range []string{"r1", "r2", "r3", "r4"} {
		if got := s.cells.Targets(revision); got != live[revision] {
			s.failf("revision %s counts as a target: %t", revision, got)
		}
	}
}

// atRest wants an available pod of its target on every node, and nothing wrong in the sums.
func (s *staged) atRest() {
	s.t.Helper()
	for _, node := range s.nodes {
		pods, want := s.podsOn(node), s.target(node)
		if s.verdicts[node].ShouldRun && (len(pods) != 1 || !pods[0].Ready || pods[0].Revision != want) {
			s.failf("L1: node %s ends with pods %+v, want one of its target %s", node, pods, want)
		}
		if got := s.cells.TargetOf(node); got != want {
			s.failf("the target of %s is %s, want %s", node, got, want)
		}
	}
	if wrong := s.cells.Audit(s.now); len(wrong) > 0 {
		s.failf("the audit finds %q", wrong)
	}
}

// next lets one thing happen; false when nothing can.
func (s *staged) next(pick func(int) int) bool {
	s.t.Helper()
	s.cells.Grant(s.now)
	s.now = s.now.Add(time.Second)
	steps := s.steps()
	if len(steps) == 0 {
		return false
	}
	step := steps[pick(len(steps))]
	if node, acts := strings.CutPrefix(step.name, "act "); acts {
		s.act(node)
	} else {
		step.do()
	}
	s.checkTargets()
	return true
}

// settle lets things happen until nothing can, back-off included.
func (s *staged) settle(pick func(int) int) {
	s.t.Helper()
	idle := 0
	for range 10_000 {
		if s.next(pick) {
			idle = 0
			continue
		}
		if idle++; idle > 40 { // longer than any back-off
			s.atRest()
			return
		}
		s.now = s.now.Add(time.Minute)
	}
	s.failf("it does not come to an end")
}

// churn lets one of the things happen that a rollout has to bear.
func (s *staged) churn(random *rand.Rand) {
	node := s.nodes[random.IntN(len(s.nodes))]
	revisions := []string{"", "r1", "r2", "r3", "r4"}
	switch random.IntN(14) {
	case 0, 1:
		s.dies(node, random.IntN(3))
	case 2:
		s.join()
	case 3:
		if len(s.nodes) > 3 {
			s.leave(node)
		}
	case 4, 5:
		revision := revisions[random.IntN(4)]
		s.notef("%s: held on %q", node, revision)
		s.hold(revision, node)
	case 6:
		s.joiners = revisions[random.IntN(4)]
		s.decide()
	case 7:
		s.turn(node, []Verdict{eligible, noSchedule}[random.IntN(2)])
	case 8:
		s.update(revisions[1+random.IntN(4)])
	}
}

// Two and three targets at once, with nodes that join, pods that die and a template that changes again: a pod comes
// back as its cell's target, and limits hold after every step, whatever the order.
func TestRolloutOfSeveralTargets(t *testing.T) {
	fresh := uint64(time.Now().UnixNano())
	picks := map[string]func() func(int) int{
		"the first":                         func() func(int) int { return func(int) int { return 0 } },
		"the last":                          func() func(int) int { return func(n int) int { return n - 1 } },
		"seed 1":                            func() func(int) int { return rand.New(rand.NewPCG(1, 5)).IntN },
		"seed 2":                            func() func(int) int { return rand.New(rand.NewPCG(2, 5)).IntN },
		"seed 3":                            func() func(int) int { return rand.New(rand.NewPCG(3, 5)).IntN },
		fmt.Sprint("a fresh seed, ", fresh): func() func(int) int { return rand.New(rand.NewPCG(fresh, 5)).IntN },
	}
	for name, strategy := range strategies {
		for order, pick := range picks {
			t.Run(name+"/"+order, func(t *testing.T) {
				s := newStaged(t, 10, strategy)
				tellStory(s, pick())
			})
		}
	}
}

// tellStory holds half of the nodes back and goes on with what may happen then.
func tellStory(s *staged, pick func(int) int) {
	s.notef("held on r1: %v, and nodes that join", s.nodes[len(s.nodes)/2:])
	s.joiners = "r1"
	s.hold("r1", s.nodes[len(s.nodes)/2:]...)
	s.update("r2")
	s.settle(pick)

	held, updated := s.nodes[len(s.nodes)-1], s.nodes[0]
	for how := range 3 {
		s.dies(held, how)
		s.dies(updated, how)
		s.settle(pick)
	}
	s.join()
	s.settle(pick)

	half := (len(s.nodes) - 1) / 2
	s.notef("held on r2: %v", s.nodes[1:half])
	s.hold("r2", s.nodes[1:half]...)
	s.update("r3") // on the first node alone
	for range 5 {
		s.next(pick)
	}
	s.dies(s.nodes[1], 0)
	s.dies(held, 0)
	s.settle(pick)

	s.notef("no node is held back")
	s.joiners = ""
	s.hold("", slices.Clone(s.nodes)...)
	for range 5 {
		s.next(pick)
	}
	s.update("r4")
	s.settle(pick)
}

// What may happen does so at any time.
func TestRolloutOfSeveralTargetsWithChurn(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, uint64(time.Now().UnixNano())}
	for name, strategy := range strategies {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%s/seed %d", name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 6))
				s := newStaged(t, 8, strategy)
				s.update("r2")
				for range 150 {
					s.churn(random)
					s.checkTargets()
					s.next(random.IntN)
				}
				s.settle(random.IntN)
			})
		}
	}
}

// The story as a reviewer reads it.
func TestRolloutOfSeveralTargetsGoldenLogs(t *testing.T) {
	for name, strategy := range map[string]Strategy{"one-unavailable": unavailable("1"), "surge-two": surge("2")} {
		t.Run(name, func(t *testing.T) {
			s := newStaged(t, 4, strategy)
			tellStory(s, func(int) int { return 0 })
			wantLog(t, "targets-"+name, s.log)
		})
	}
}
