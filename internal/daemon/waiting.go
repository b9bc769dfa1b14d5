package daemon

import (
	"cmp"
	"time"
	"unique"

	"github.com/google/btree"
)

// waitingNodes are nodes grouped by why they wait, kept by deltas: a change costs the logarithm of a group.
type waitingNodes struct {
	byNode  map[string]waitingNode
	byCause map[unique.Handle[Problem]]*btree.BTreeG[waitingNode]
}

type waitingNode struct {
	node  string
	cause unique.Handle[Problem]
	since time.Time
}

// longest sorts the longest waiting nodes first.
func (w waitingNode) longest(other waitingNode) bool {
	return cmp.Or(w.since.Compare(other.since), cmp.Compare(w.node, other.node)) < 0
}

// set records why a node waits, and since when.
func (w *waitingNodes) set(node string, cause unique.Handle[Problem], since time.Time) {
	next := waitingNode{node, cause, since}
	if w.byNode[node] == next {
		return
	}
	w.clear(node)
	if w.byNode == nil {
		w.byNode, w.byCause = map[string]waitingNode{}, map[unique.Handle[Problem]]*btree.BTreeG[waitingNode]{}
	}
	w.byNode[node] = next
	if w.byCause[cause] == nil {
		w.byCause[cause] = btree.NewG(8, waitingNode.longest)
	}
	w.byCause[cause].ReplaceOrInsert(next)
}

// clear records that a node does not wait.
func (w *waitingNodes) clear(node string) {
	was, waits := w.byNode[node]
	if !waits {
		return
	}
	delete(w.byNode, node)
	if group := w.byCause[was.cause]; group.Len() > 1 {
		group.Delete(was)
	} else {
		delete(w.byCause, was.cause)
	}
}

// first returns the first n nodes of the cause that most nodes have.
func (w *waitingNodes) first(n int) (nodes []string) {
	groups := w.groups()
	if len(groups) == 0 {
		return nil
	}
	w.byCause[w.byNode[groups[0].Nodes[0]].cause].Ascend(func(one waitingNode) bool {
		nodes = append(nodes, one.node)
		return len(nodes) < n
	})
	return nodes
}

// groups returns the causes with the first nodes of each, which have waited longest.
func (w *waitingNodes) groups() []ProblemGroup {
	groups := make([]ProblemGroup, 0, len(w.byCause))
	for cause, nodes := range w.byCause {
		group := ProblemGroup{Problem: cause.Value(), Total: nodes.Len()}
		nodes.Ascend(func(one waitingNode) bool {
			if len(group.Nodes) == 0 {
				group.Since = one.since
			}
			group.Nodes = append(group.Nodes, one.node)
			return len(group.Nodes) < shownNodes
		})
		groups = append(groups, group)
	}
	sortGroups(groups)
	return groups
}
