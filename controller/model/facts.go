package model

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// NodeReads are the facts of nodes that a policy may read. Nothing else of a node's status is decoded, kept or compared.
// Only rollouts that exclude dead nodes read whether nodes are Ready.
var NodeReads = daemon.Reads{Readiness: true}

// observeFacts stores the facts of a node, once for all daemons.
func (m *Model) observeFacts(node *corev1.Node) {
	if NodeReads.Status() {
		facts := daemon.ObserveNode(node, NodeReads)
		m.facts[node.Name] = &facts
	}
}

// factsOf returns the facts of a node, nil if it is not known.
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
