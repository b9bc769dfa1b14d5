package model

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/internal/daemon"
)

// Claim is a due change of a pod's owner: a pod without a controller that a daemon's selector matches is
// adopted, and a daemon's pod that its selector does not match any more is released, as in apps/v1
// (k8s.io/kubernetes pkg/controller PodControllerRefManager).
type Claim struct {
	Pod   *Pod
	Adopt bool // else release
}

// claims are the due claims, by cell, and the pods without a controller.
type claims struct {
	byCell  map[daemon.CellKey]map[types.UID]Claim
	cellOf  map[types.UID]daemon.CellKey
	cells   keys[daemon.CellKey]          // those of byCell
	orphans map[string]map[types.UID]*Pod // pods without controller, by namespace
}

func newClaims() claims {
	return claims{
		byCell:  map[daemon.CellKey]map[types.UID]Claim{},
		cellOf:  map[types.UID]daemon.CellKey{},
		cells:   newKeys(compareCells),
		orphans: map[string]map[types.UID]*Pod{},
	}
}

// add makes a claim due, and returns its cell.
func (c *claims) add(cell daemon.CellKey, due Claim) {
	put(c.byCell, cell, due.Pod.UID, due)
	c.cells.ReplaceOrInsert(cell)
	c.cellOf[due.Pod.UID] = cell
}

// drop removes the claim on a pod, and returns its cell.
func (c *claims) drop(pod types.UID) (cell daemon.CellKey, was bool) {
	cell, was = c.cellOf[pod]
	if !was {
		return cell, false
	}
	delete(c.cellOf, pod)
	drop(c.byCell, cell, pod)
	if len(c.byCell[cell]) == 0 {
		c.cells.Delete(cell)
	}
	return cell, true
}

// of returns the claims of a cell, in the order of their pods' UIDs.
func (c *claims) of(cell daemon.CellKey) (due []Claim) {
	if len(c.byCell[cell]) == 0 {
		return nil
	}
	for _, uid := range slices.Sorted(maps.Keys(c.byCell[cell])) {
		due = append(due, c.byCell[cell][uid])
	}
	return due
}

// noteOrphan records a pod without a controller.
func (u Update) noteOrphan(pod *Pod) {
	if pod.orphanOn() == "" {
		drop(u.claims.orphans, pod.GetNamespace(), pod.UID)
		return
	}
	put(u.claims.orphans, pod.GetNamespace(), pod.UID, pod)
}

// findOwner claims a pod without a controller for the first daemon that matches it. Users decide how long
// selectors and labels are, so it runs while the model is not locked.
type findOwner struct {
	pod        *Pod
	candidates []candidate
	found      *candidate
}

// candidate is a daemon that may adopt a pod.
type candidate struct {
	key      daemon.WorkloadKey
	name     string
	selector labels.Selector
}

// before reports whether a candidate is preferred to another one: daemons of two kinds may have the same name.
func (c *candidate) before(other *candidate) bool {
	return cmp.Or(cmp.Compare(c.name, other.name), compareKeys(c.key, other.key)) < 0
}

func (f *findOwner) Step(u Update) (more bool) {
	if f.found != nil {
		u.claimOrphan(f.found.key, f.pod)
		return false
	}
	if f.candidates != nil {
		return false
	}
	there := u.index.byNamespace[f.pod.GetNamespace()]
	f.candidates = make([]candidate, 0, len(there))
	for key, known := range there { // in any order: before decides
		if known.active() {
			f.candidates = append(f.candidates, candidate{key, known.workload.Name, known.selector})
		}
	}
	return len(f.candidates) > 0
}

func (f *findOwner) Compute() {
	of := f.pod.labels()
	for i := range f.candidates {
		if one := &f.candidates[i]; (f.found == nil || one.before(f.found)) && matches(one.selector, of) {
			f.found = one
		}
	}
}

// claimOrphan makes a daemon adopt a pod, unless either changed in the meantime or another daemon adopts it.
func (u Update) claimOrphan(key daemon.WorkloadKey, pod *Pod) {
	_, taken := u.claims.cellOf[pod.UID]
	if taken || u.claims.orphans[pod.GetNamespace()][pod.UID] != pod || !u.daemons[key].active() {
		return
	}
	cell := key.On(pod.orphanOn())
	u.claims.add(cell, Claim{Pod: pod, Adopt: true})
	u.changed(cell)
}

// claimAll finds the pods that a new daemon has to adopt and to release: first the orphans of its namespace,
// then the pods in its cells, a batch at a time.
type claimAll struct {
	key   daemon.WorkloadKey
	known *tracked

	selector labels.Selector
	orphans  []*Pod // not processed yet
	some     []*Pod // the present batch; after Compute, those to claim
	inCells  bool   // the orphans are done
	last     string
}

func (c *claimAll) Step(u Update) (more bool) {
	for _, pod := range c.some {
		if pod.orphanOn() != "" {
			u.claimOrphan(c.key, pod)
		} else if u.pods[pod.UID] == pod { // unchanged
			u.place(pod)
		}
	}
	c.some = c.some[:0]
	if c.selector == nil {
		c.selector, c.orphans = c.known.selector, slices.Collect(maps.Values(u.claims.orphans[c.key.Namespace]))
		return true
	}
	if c.inCells || len(c.orphans) == 0 {
		c.inCells = true
		return c.podsOfCells(u)
	}
	c.some = append(c.some, c.orphans[:min(Batch, len(c.orphans))]...)
	c.orphans = c.orphans[len(c.some):]
	return true
}

func (c *claimAll) podsOfCells(u Update) (more bool) {
	nodes := c.known.cells.NodesAfter(c.last, Batch)
	if u.daemons[c.key] != c.known {
		return false
	}
	for _, node := range nodes {
		for _, uid := range c.known.cells.PodsOn(node) {
			if pod, there := u.pods[uid]; there {
				c.some = append(c.some, pod)
			}
		}
		c.last = node
	}
	return len(nodes) > 0
}

func (c *claimAll) Compute() {
	if len(c.some) == 0 {
		slices.SortFunc(c.orphans, func(a, b *Pod) int { return cmp.Compare(a.UID, b.UID) })
		return
	}
	c.some = slices.DeleteFunc(c.some, func(pod *Pod) bool {
		if pod.orphanOn() != "" {
			return !matches(c.selector, pod.labels())
		}
		return pod.manyLabels || c.selector.Matches(pod.labels())
	})
}

// releaseClaims removes the claims of a daemon that is gone. Its orphans may belong to another daemon; pods
// that it did not release are still its own.
type releaseClaims struct {
	locked
	key daemon.WorkloadKey
}

func (r *releaseClaims) Step(u Update) (more bool) {
	cells := u.claims.cells.after(r.key.On(""), Batch)
	for _, cell := range cells {
		if cell.Workload() != r.key {
			return false
		}
		for _, due := range u.claims.of(cell) {
			u.SeePod(due.Pod)
		}
	}
	return len(cells) == Batch
}

// planClaims plans the cells of a daemon's claims on nodes that are gone. Such a cell has nothing else, so that a pass over
// the cells does not find it.
type planClaims struct {
	locked
	key  daemon.WorkloadKey
	last daemon.CellKey
}

func (p *planClaims) Step(u Update) (more bool) {
	known, cells := u.daemons[p.key], u.claims.cells.after(p.last, Batch)
	for _, cell := range cells {
		if known == nil || cell.Workload() != p.key {
			return false
		}
		if u.nodes[cell.Node] == nil {
			u.plan(cell, known.priority)
		}
		p.last = cell
	}
	return len(cells) == Batch
}

// matches reports whether a daemon's selector selects a pod. An empty one, which validation refuses, would
// select all pods (k/k#23223).
func matches(selector labels.Selector, of labels.Labels) bool {
	return !selector.Empty() && selector.Matches(of)
}

// noLongerSelected reports whether a daemon has to release one of its pods.
func (t *tracked) noLongerSelected(pod *Pod) bool {
	return t.active() && !pod.manyLabels && !pod.Terminating && !t.selector.Matches(pod.labels())
}
