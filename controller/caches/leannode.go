package caches

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// LeanNode is a node of which only metadata, spec, and the part of the status that policies read are decoded
// from protobuf. Most of a node is its status.
type LeanNode struct{ corev1.Node }

// The fields of a node in protobuf, by number (k8s.io/api/core/v1 generated.proto).
const (
	nodeMetadata = 1
	nodeSpec     = 2
	nodeStatus   = 3
)

// leanNodeSpec are unschedulable and taints.
var leanNodeSpec = fields(4, 5)

// leanNodeStatus returns the fields of a status that contain facts: allocatable, conditions, nodeInfo.
func leanNodeStatus(reads daemon.Reads) (set fieldSet) {
	if reads.Allocatable {
		set |= fields(2)
	}
	if reads.Readiness || reads.Lifecycle {
		set |= fields(4)
	}
	if reads.BootID {
		set |= fields(7)
	}
	return set
}

// Unmarshal decodes from protobuf.
func (n *LeanNode) Unmarshal(data []byte) error {
	return n.decode(data, leanNodeStatus(model.NodeReads))
}

func (n *LeanNode) decode(data []byte, status fieldSet) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case nodeMetadata:
			return decodeFields(leanMetadata, content, n.ObjectMeta.Unmarshal)
		case nodeSpec:
			return decodeFields(leanNodeSpec, content, n.Spec.Unmarshal)
		case nodeStatus:
			if status != 0 {
				return decodeFields(status, content, n.Status.Unmarshal)
			}
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (n *LeanNode) DeepCopyObject() runtime.Object { return &LeanNode{*n.DeepCopy()} }

// LeanNodeList is the answer of a server that does not stream lists.
type LeanNodeList struct{ corev1.NodeList }

// Unmarshal decodes from protobuf.
func (l *LeanNodeList) Unmarshal(data []byte) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case 1:
			return l.ListMeta.Unmarshal(content)
		case 2:
			var node LeanNode
			err := node.Unmarshal(content)
			l.Items = append(l.Items, node.Node)
			return err
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (l *LeanNodeList) DeepCopyObject() runtime.Object { return &LeanNodeList{*l.DeepCopy()} }
