package daemon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/dump"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
)

// apps is the kind DaemonSet of apps/v1. Its differences are apps/v1's contract: clients expect its status, and
// kube-controller-manager its records when it takes over again.
type apps struct{}

// FromApps returns the workload of a DaemonSet of apps/v1, with which it shares memory.
func FromApps(set *appsv1.DaemonSet) *Workload {
	w := newWorkload(Apps, set, &set.Spec.Template, set.Spec.RevisionHistoryLimit)
	w.Selector = set.Spec.Selector
	w.Strategy = NewStrategy(&v1alpha1.DaemonSetUpdateStrategy{
		Type:          set.Spec.UpdateStrategy.Type,
		RollingUpdate: (*v1alpha1.RollingUpdateDaemonSet)(set.Spec.UpdateStrategy.RollingUpdate),
	})
	w.MinReady = time.Duration(set.Spec.MinReadySeconds) * time.Second
	w.Status = v1alpha1.StatusFromApps(&set.Status)
	return w
}

// GroupVersionKind implements Kind.
func (apps) GroupVersionKind() schema.GroupVersionKind {
	return appsv1.SchemeGroupVersion.WithKind("DaemonSet")
}

// RuntimeClassJoins implements Kind.
func (apps) RuntimeClassJoins() bool { return false }

// BlocksNodes implements Kind.
func (apps) BlocksNodes() bool { return false }

// ReportsWaiting implements Kind: status and reasons of conditions follow from the numbers, which apps/v1 defines.
func (apps) ReportsWaiting() bool { return false }

// identify compares templates by their records, byte for byte (appsContent). After a collision the revision is
// another one too.
func (apps) identify(name string, template *corev1.PodTemplateSpec, collisions *int32) (TemplateID, error) {
	data, err := recordTemplate(template)
	if err != nil {
		return TemplateID{}, err
	}
	revision := appsRevision(template, collisions)
	return TemplateID{Content: appsContent(data), Revision: revision, Record: RevisionName(name, revision)}, nil
}

// content identifies data that is not safe to decode by its bytes, as identify does with a template that has such a
// value.
func (apps) content(data []byte) string {
	var record recorded
	err := bounded.Unmarshal(data, &record)
	if refused := (*bounded.Error)(nil); errors.As(err, &refused) {
		return appsContent(data)
	}
	if err != nil || record.Spec.Template == nil {
		return ""
	}
	return appsContent(data)
}

func (apps) templateGeneration(annotations map[string]string) string {
	return annotations[appsv1.DeprecatedTemplateGeneration]
}

// recordAnnotations keeps all annotations, as kube-controller-manager does, and the generation of a former template.
func (apps) recordAnnotations(generation string, annotations map[string]string) map[string]string {
	if annotations == nil && generation != "" {
		return map[string]string{appsv1.DeprecatedTemplateGeneration: generation}
	}
	return maps.Clone(annotations)
}

// RollsOut implements Kind.
func (apps) RollsOut() bool { return false }

func (apps) observesGeneration() bool { return false }

func (apps) withStatus(stored Object, status *v1alpha1.DaemonSetStatus) Object {
	set := stored.(*appsv1.DaemonSet).DeepCopy()
	set.Status = status.ToApps()
	return set
}

func (apps) status(status *v1alpha1.DaemonSetStatus) any { return status.ToApps() }

// appsRevision returns kube-controller-manager's hash of a template (k8s.io/kubernetes pkg/controller ComputeHash).
func appsRevision(template *corev1.PodTemplateSpec, collisions *int32) string {
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%v", dump.ForHash(*template))
	if collisions != nil {
		sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(uint32(*collisions)))) //nolint:gosec // G115: as upstream does, for any bits
	}
	return rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
}

// appsContent identifies a template's record by its bytes. Records of the same template by different versions of
// Kubernetes are equal once they are decoded and encoded again: until 1.33 there was "creationTimestamp": null
// (k/k#134773). A record with unknown fields would lose them that way, so it is identified by its bytes as they
// are; so is one that is not safe to decode.
func appsContent(data []byte) string {
	if bounded.Check[recorded](data) == nil {
		data = rewritten(data)
	}
	sum := sha256.Sum256(data)
	return lowerBase32.EncodeToString(sum[:])
}

// rewritten returns a record decoded and encoded again, or unchanged if that would lose fields.
func rewritten(data []byte) []byte {
	var record recorded
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&record); err != nil || record.Spec.Template == nil {
		return data
	}
	again, err := recordTemplate(&record.Spec.Template.PodTemplateSpec)
	if err != nil {
		return data
	}
	return again
}
