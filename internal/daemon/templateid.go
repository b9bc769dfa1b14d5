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

// TemplateID tells a daemon's template from its others.
type TemplateID struct {
	// Content is the same for templates that are the same: for a daemon of this project those that
	// mean the same (Revision), for a native one those of which apps/v1 writes the same
	// ControllerRevision, to the byte, so that kube-controller-manager finds what it looks for
	// (nativeContent).
	Content string
	// Revision is what the template is called unless it is recorded under another name already.
	Revision string
	// Record is the name that a new ControllerRevision of the template gets. It is another one
	// when the daemon's collisionCount is.
	Record string
}

// Identify tells a daemon's template.
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

// nativeRevision is the hash that kube-controller-manager calls a native template by
// (k8s.io/kubernetes pkg/controller ComputeHash).
func nativeRevision(template *corev1.PodTemplateSpec, collisions *int32) string {
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%v", dump.ForHash(*template))
	if collisions != nil {
		sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(uint32(*collisions))))
	}
	return rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
}
