package daemon

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
)

// everynode is the kind DaemonSet of everynode.dev.
type everynode struct{}

// FromEverynode returns the workload of a DaemonSet of everynode.dev, with which it shares memory.
func FromEverynode(set *v1alpha1.DaemonSet) *Workload {
	w := newWorkload(Everynode, set, &set.Spec.Template, set.Spec.RevisionHistoryLimit)
	w.Selector, w.Strategy = set.Spec.Selector, NewStrategy(&set.Spec.UpdateStrategy)
	w.Strategy.Suspended = set.Spec.Suspend
	w.MinReady = time.Duration(set.Spec.MinReadySeconds) * time.Second
	w.Status = set.Status
	w.Rollout = rolloutOf(set)
	return w
}

// rolloutOf returns spec.rollout, paused if the annotation says so.
func rolloutOf(set *v1alpha1.DaemonSet) *v1alpha1.Rollout {
	if set.Annotations[v1alpha1.PausedAnnotation] != "true" {
		return set.Spec.Rollout
	}
	rollout := v1alpha1.Rollout{DeadNodes: &v1alpha1.DeadNodes{Policy: v1alpha1.DeadNodesCount}} // without spec.rollout none is excused
	if set.Spec.Rollout != nil {
		rollout = *set.Spec.Rollout
	}
	rollout.Paused = true
	return &rollout
}

// GroupVersionKind implements Kind.
func (everynode) GroupVersionKind() schema.GroupVersionKind { return v1alpha1.DaemonSetKind }

// RuntimeClassJoins implements Kind.
func (everynode) RuntimeClassJoins() bool { return true }

// BlocksNodes implements Kind.
func (everynode) BlocksNodes() bool { return true }

// ReportsWaiting implements Kind.
func (everynode) ReportsWaiting() bool { return true }

// identify compares templates by their meaning (Revision). After a collision only the record gets another name.
func (everynode) identify(name string, template *corev1.PodTemplateSpec, collisions *int32) (TemplateID, error) {
	revision, err := Revision(template)
	if err != nil {
		return TemplateID{}, err
	}
	record := revision
	if collisions != nil && *collisions > 0 {
		record += fmt.Sprintf("-%d", *collisions)
	}
	return TemplateID{Content: revision, Revision: revision, Record: RevisionName(name, record)}, nil
}

func (everynode) content(data []byte) string {
	var record recorded
	if err := bounded.Unmarshal(data, &record); err != nil || record.Spec.Template == nil {
		return ""
	}
	revision, err := Revision(&record.Spec.Template.PodTemplateSpec)
	if err != nil {
		return ""
	}
	return revision
}

// templateGeneration is empty: revisions alone identify templates.
func (everynode) templateGeneration(map[string]string) string { return "" }

// recordAnnotations keeps the reason of the change; the other annotations describe the DaemonSet.
func (everynode) recordAnnotations(_ string, annotations map[string]string) map[string]string {
	if cause, given := annotations[changeCause]; given {
		return map[string]string{changeCause: cause}
	}
	return nil
}

// RollsOut implements Kind.
func (everynode) RollsOut() bool { return true }

func (everynode) observesGeneration() bool { return true }

func (everynode) withStatus(stored Object, status *v1alpha1.DaemonSetStatus) Object {
	set := stored.(*v1alpha1.DaemonSet).DeepCopy()
	set.Status = *status
	return set
}

func (everynode) status(status *v1alpha1.DaemonSetStatus) any { return status }
