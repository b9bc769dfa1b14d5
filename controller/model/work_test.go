package model

import (
	"fmt"
	"slices"
	"testing"

	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/internal/daemon"
)

// measured counts the cells that are counted and planned while the model is locked once.
type measured struct {
	*state
	planned, before, most int
	order                 []daemon.CellKey
}

func (m *measured) recounts() (n int) {
	for _, known := range m.daemons {
		n += known.cells.Recounts()
	}
	return n
}

func newMeasured() *measured {
	m, c := &measured{}, &clock{Time: t0}
	m.state = newState(c.Now, nil)
	m.ended = func(wake *Wake) {
		m.planned += len(wake.Cells)
		for _, cell := range wake.Cells {
			m.order = append(m.order, cell.Key)
		}
		looked := m.recounts() + m.planned
		m.most = max(m.most, looked-m.before)
		m.before = looked
	}
	return m
}

// However many nodes and daemons there are, the model is not locked for more of them than a few batches hold.
func TestNoHoldLooksAtAllCells(t *testing.T) {
	const nodes, daemons = 20 * Batch, 5 * Batch
	all := intstr.FromString("100%")
	m := newMeasured()
	set := makeDaemon("d", replacing(all))
	for n := range nodes {
		node := makeNode(fmt.Sprintf("n%04d", n))
		m.seeNode(node)
		pod := everynodeOnly.ObservePod(makePod(set, node, bound(node.Name), ready(t0), podUID(types.UID("p-"+node.Name))))
		m.observePod(pod)
	}
	problems := func() {
		for n := range nodes {
			m.setProblem(keyOf(set).On(fmt.Sprintf("n%04d", n)), daemon.Problem{Reason: "R", Message: "m"})
		}
	}
	other := makeNode("n0", labelled("disk", "ssd"))
	other.Name = "other"
	cells := make([]daemon.CellKey, nodes)
	for i := range cells {
		cells[i] = keyOf(set).On(fmt.Sprintf("n%04d", i))
	}
	steps := []struct {
		name string
		do   func()
		all  int // how many cells this has to look at in all, or more
	}{
		{"a daemon that is new", func() { see(t, m.state, set) }, nodes},
		{"begin", m.begin, nodes},
		{"another template", func() { see(t, m.state, makeDaemon("d", replacing(all), generation(2), image("image:2"))) }, 3 * nodes},
		{"other eligible nodes", func() {
			see(t, m.state, makeDaemon("d", replacing(all), generation(3), image("image:2"), onlyWhere("disk", "ssd")))
		}, 2 * nodes},
		{"and back", func() { see(t, m.state, makeDaemon("d", replacing(all), generation(4), image("image:3"))) }, 3 * nodes},
		{"admission is effective again", m.replan, nodes},
		{"a quota has room", func() { m.wake(cells) }, nodes},
		{"the scrub", func() {
			m.run(&PodsInCells{})
			m.audit(keyOf(set))
		}, nodes},
		{"a priority class", func() { m.seeClass(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Value: 7}) }, 0},
		{"problems", problems, 0},
		{"the status", func() {
			if _, health := m.health(keyOf(set)); len(health.Problems) != nodes {
				t.Errorf("the status knows of %d problems, want %d", len(health.Problems), nodes)
			}
		}, 0},
		{"many daemons", func() {
			for d := range daemons {
				see(t, m.state, makeDaemon(fmt.Sprintf("d%04d", d), onlyWhere("disk", "none")))
			}
		}, nodes * daemons},
		{"a node that joins", func() { m.seeNode(other) }, daemons},
		{"a node that leaves", func() { m.forgetNode(other.Name) }, daemons},
		{"all daemons", func() {
			if n := len(m.objects()); n != daemons+1 {
				t.Errorf("%d daemons are kept up, want %d", n, daemons+1)
			}
		}, 0},
		{"the end of the daemon", func() { m.forgetDaemon(keyOf(set)) }, nodes},
	}
	for _, step := range steps {
		m.most, m.order = 0, nil
		before := m.before
		step.do()
		if most := 4 * Batch; m.most > most {
			t.Errorf("%s: %d cells are counted or planned while the model is locked, want %d at most", step.name, m.most, most)
		}
		if m.before-before < step.all {
			t.Errorf("%s: %d cells are counted or planned in all, want %d", step.name, m.before-before, step.all)
		}
	}
}

// Cells are planned in the order of their nodes.
func TestCellsArePlannedInOrder(t *testing.T) {
	m := newMeasured()
	for n := range 3 * Batch {
		m.seeNode(makeNode(fmt.Sprintf("n%04d", n)))
	}
	m.begin()
	see(t, m.state, makeDaemon("d"))
	if !slices.IsSortedFunc(m.order, func(a, b daemon.CellKey) int { return compareNames(a.Node, b.Node) }) || len(m.order) != 3*Batch {
		t.Errorf("%d cells are planned, not all of them once and in order", len(m.order))
	}
}

func compareNames(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// A template that changes while the cells are counted by the one before wins, and nothing is planned by either
// before all of them are counted by it.
func TestTemplateThatChangesWhileCellsAreCounted(t *testing.T) {
	m := newMeasured()
	for n := range 3 * Batch {
		m.seeNode(makeNode(fmt.Sprintf("n%04d", n)))
	}
	m.begin()
	see(t, m.state, makeDaemon("d"))
	key := keyOf(makeDaemon("d"))
	known := m.daemons[key]
	first, second := &pass{key: key, known: known, count: true, plan: true}, &pass{key: key, known: known, count: true, plan: true}
	known.counting = first
	inner, holds := m.ended, 0
	m.ended = func(wake *Wake) {
		inner(wake)
		if holds++; holds == 2 {
			known.counting = second
		}
	}
	m.order = nil
	m.run(first)
	if known.counting != second || len(m.order) > 0 {
		t.Errorf("a pass that was replaced ends it, and plans %d cells", len(m.order))
	}
	if len(m.task(key.On("n0000")).Actions) > 0 {
		t.Error("a cell is planned before all are counted")
	}
	m.run(second)
	if known.counting != nil || len(m.order) != 3*Batch || len(m.task(key.On("n0000")).Actions) == 0 {
		t.Errorf("afterwards %d cells are planned", len(m.order))
	}
}
