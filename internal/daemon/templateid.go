package daemon

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/dump"

	"github.com/everynode/everynode/api/v1alpha1"
)

// TemplateID identifies a daemon's template.
type TemplateID struct {
	// Content is equal for equal templates: for a daemon of everynode.dev those with the same meaning
	// (Revision), for a native one those for which apps/v1 writes the same ControllerRevision, byte for byte,
	// so that kube-controller-manager finds its records (nativeContent).
	Content string
	// Revision is the template's revision unless it is already recorded with another one.
	Revision string
	// Record is the name of a new ControllerRevision of the template. It changes with the daemon's
	// collisionCount.
	Record string
}

// Identify returns the identity of a daemon's template.
func Identify(object *v1alpha1.DaemonSet) (TemplateID, error) {
	template, collisions := &object.Spec.Template, object.Status.CollisionCount
	if object.Native() {
		data, err := recordTemplate(template)
		if err != nil {
			return TemplateID{}, err
		}
		revision := nativeRevision(template, collisions)
		return TemplateID{Content: nativeContent(data), Revision: revision, Record: RevisionName(object.Name, revision)}, nil
	}
	revision, err := Revision(template)
	if err != nil {
		return TemplateID{}, err
	}
	record := revision
	if collisions != nil && *collisions > 0 {
		record += fmt.Sprintf("-%d", *collisions)
	}
	return TemplateID{Content: revision, Revision: revision, Record: RevisionName(object.Name, record)}, nil
}

// nativeRevision returns kube-controller-manager's hash of a native template (k8s.io/kubernetes pkg/controller
// ComputeHash).
func nativeRevision(template *corev1.PodTemplateSpec, collisions *int32) string {
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%v", dump.ForHash(*template))
	if collisions != nil {
		sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(uint32(*collisions))))
	}
	return rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
}
