package caches

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
	"github.com/everynode/everynode/internal/daemon"
)

// ReadSet is a DaemonSet of everynode.dev as the API server sends it. Decoding one never fails, whatever
// another schema, or none, accepted: an error would end the list and the watch of all DaemonSets. A spec that
// cannot be decoded is omitted, and Wrong is the reason. Its bytes are not kept, because only the status of
// such a DaemonSet is written, by a patch.
type ReadSet struct {
	v1alpha1.DaemonSet
	Wrong error
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *ReadSet) UnmarshalJSON(data []byte) error {
	*s = ReadSet{}
	if bounded.Unmarshal(data, &s.DaemonSet) == nil {
		return nil
	}
	var parts struct {
		metav1.TypeMeta
		Metadata map[string]json.RawMessage `json:"metadata"`
		Status   map[string]json.RawMessage `json:"status"`
	}
	_ = kjson.UnmarshalCaseSensitivePreserveInts(data, &parts)
	var only struct {
		Spec v1alpha1.DaemonSetSpec `json:"spec"`
	}
	*s = ReadSet{Wrong: bounded.Unmarshal(data, &only)}
	if s.Wrong == nil {
		s.Spec = only.Spec
	}
	s.TypeMeta = parts.TypeMeta
	s.ObjectMeta = decodable[metav1.ObjectMeta](parts.Metadata)
	s.Status = decodable[v1alpha1.DaemonSetStatus](parts.Status)
	return nil
}

// decodable returns the fields of a T that can be decoded.
func decodable[T any](fields map[string]json.RawMessage) T {
	var whole T
	for name, value := range fields {
		var probe T
		field, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err == nil && bounded.Unmarshal(field, &probe) == nil {
			_ = kjson.UnmarshalCaseSensitivePreserveInts(field, &whole)
		}
	}
	return whole
}

// DeepCopyObject implements runtime.Object.
func (s *ReadSet) DeepCopyObject() runtime.Object { return &ReadSet{*s.DeepCopy(), s.Wrong} }

// ReadSetList is the answer to a list.
type ReadSetList struct {
	metav1.TypeMeta
	metav1.ListMeta `json:"metadata"`
	Items           []ReadSet `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *ReadSetList) DeepCopyObject() runtime.Object {
	copied := *l
	l.DeepCopyInto(&copied.ListMeta)
	copied.Items = nil
	for i := range l.Items {
		copied.Items = append(copied.Items, ReadSet{*l.Items[i].DeepCopy(), l.Items[i].Wrong})
	}
	return &copied
}

// Set is the part of a DaemonSet of any kind that the cache keeps. It is immutable.
type Set struct {
	metav1.Object
	Workload *daemon.Workload
}

// TrimSet is the transform of DaemonSets.
func TrimSet(object any) (any, error) {
	switch set := object.(type) {
	case *ReadSet:
		set.ManagedFields = nil
		workload := daemon.FromEverynode(&set.DaemonSet)
		workload.Undecodable = set.Wrong
		return &Set{&set.DaemonSet, workload}, nil
	case *appsv1.DaemonSet:
		set.ManagedFields = nil
		return &Set{set, daemon.FromApps(set)}, nil
	}
	return object, nil // trimmed already, or a tombstone
}
