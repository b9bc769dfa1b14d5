package controller

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// leanNode is a node of which only metadata and spec are decoded from protobuf. Most of a node is its
// status, which a kubelet writes, with quantities in it.
type leanNode struct{ corev1.Node }

// The fields of a node in protobuf, by number (k8s.io/api/core/v1 generated.proto).
const (
	nodeMetadata = 1
	nodeSpec     = 2
)

// leanNodeSpec are unschedulable and taints.
var leanNodeSpec = fields(4, 5)

// Unmarshal decodes from protobuf.
func (n *leanNode) Unmarshal(data []byte) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case nodeMetadata:
			return decodeFields(leanMetadata, content, n.ObjectMeta.Unmarshal)
		case nodeSpec:
			return decodeFields(leanNodeSpec, content, n.Spec.Unmarshal)
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (n *leanNode) DeepCopyObject() runtime.Object { return &leanNode{*n.DeepCopy()} }

// leanNodeList is what a server answers that streams no lists.
type leanNodeList struct{ corev1.NodeList }

// Unmarshal decodes from protobuf.
func (l *leanNodeList) Unmarshal(data []byte) error {
	return eachField(data, func(number uint64, _, content []byte) error {
		switch number {
		case 1:
			return l.ListMeta.Unmarshal(content)
		case 2:
			var node leanNode
			err := node.Unmarshal(content)
			l.Items = append(l.Items, node.Node)
			return err
		}
		return nil
	})
}

// DeepCopyObject implements runtime.Object.
func (l *leanNodeList) DeepCopyObject() runtime.Object { return &leanNodeList{*l.DeepCopy()} }
