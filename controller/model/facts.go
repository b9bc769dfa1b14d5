package model

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// NodeReads are the facts of nodes that some policy may read. Nothing else of a node's status is decoded, kept or
// compared. Today there is no policy, so that nodes cost what their labels and taints do.
var NodeReads = daemon.Reads{}

// observeFacts holds the facts of a node, once for all daemons.
func (m *Model) observeFacts(node *corev1.Node) {
	if NodeReads.Status() {
		facts := daemon.ObserveNode(node, NodeReads)
		m.facts[node.Name] = &facts
	}
}

// factsOf are those of a node; nil when it is not known.
func (m *Model) factsOf(name string) *daemon.NodeFacts {
	if facts := m.facts[name]; facts != nil {
		return facts
	}
	node := m.nodes[name]
	if node == nil {
		return nil
	}
	return &daemon.NodeFacts{Name: node.Name, UID: node.UID, Labels: node.Labels}
}
