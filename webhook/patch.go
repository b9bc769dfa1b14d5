package webhook

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// operation is an operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func add(path string, value any) operation { return operation{"add", path, value} }

func remove(path string) operation { return operation{Op: "remove", Path: path} }

const (
	affinityPath = "/spec/affinity"
	gatesPath    = "/spec/schedulingGates"
)

// escape turns a key into a path segment.
var escape = strings.NewReplacer("~", "~0", "/", "~1").Replace

var placedByPath = "/metadata/annotations/" + escape(v1alpha1.PlacedByAnnotation)

// patch returns the changes from the pod in the view to the rewritten one. Each operation names a single
// change, so that unknown fields of other API versions stay. Operations are applied in order; none moves the
// path of a later one.
func (v *podView) patch(after *corev1.Pod) []operation {
	operations := []operation{remove("/spec/nodeName")}
	operations = append(operations, v.pins(&after.Spec)...)
	operations = append(operations, v.gates(after.Spec.SchedulingGates)...)
	if after.Spec.SchedulerName != v.Spec.SchedulerName {
		operations = append(operations, add("/spec/schedulerName", after.Spec.SchedulerName))
	}
	switch {
	case v.Metadata == nil:
		return append(operations, add("/metadata", map[string]any{"annotations": after.Annotations}))
	case v.Metadata.Annotations == nil:
		return append(operations, add("/metadata/annotations", after.Annotations))
	}
	return append(operations, add(placedByPath, after.Annotations[v1alpha1.PlacedByAnnotation]))
}

// pins adds the affinity from its first absent parent, or a pin to each term that got one.
func (v *podView) pins(after *corev1.PodSpec) []operation {
	const nodeAffinityPath = affinityPath + "/nodeAffinity"
	const requiredPath = nodeAffinityPath + "/requiredDuringSchedulingIgnoredDuringExecution"
	const termsPath = requiredPath + "/nodeSelectorTerms"
	affinity := after.Affinity
	required := affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	switch {
	case v.Spec.Affinity == nil:
		return []operation{add(affinityPath, affinity)}
	case v.Spec.Affinity.NodeAffinity == nil:
		return []operation{add(nodeAffinityPath, affinity.NodeAffinity)}
	case v.required() == nil:
		return []operation{add(requiredPath, required)}
	}
	var operations []operation
	for i, term := range required.NodeSelectorTerms {
		path := termsPath + "/" + strconv.Itoa(i) + "/matchFields"
		switch before := len(v.required().NodeSelectorTerms[i].MatchFields); {
		case len(term.MatchFields) == before:
		case before == 0: // matchFields may be absent
			operations = append(operations, add(path, term.MatchFields))
		default: // the pin comes first
			operations = append(operations, add(path+"/0", term.MatchFields[0]))
		}
	}
	return operations
}

// gates removes the gates that are not in after, beginning with the last, so that the indices of the others
// stay valid.
func (v *podView) gates(after []corev1.PodSchedulingGate) []operation {
	before := v.Spec.SchedulingGates
	if len(after) == len(before) {
		return nil
	}
	if len(after) == 0 {
		return []operation{remove(gatesPath)}
	}
	var operations []operation
	for i, kept := len(before)-1, len(after)-1; i >= 0; i-- {
		if kept >= 0 && before[i] == after[kept] {
			kept--
			continue
		}
		operations = append(operations, remove(gatesPath+"/"+strconv.Itoa(i)))
	}
	return operations
}
