package daemon

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/everynode/everynode/internal/bounded"
)

// changeCause is the annotation with the reason of a template's change; kubectl shows it beside the revision.
const changeCause = "kubernetes.io/change-cause"

// Record is the part of a ControllerRevision that history keeps: a template that a daemon has or had.
type Record struct {
	Name            string
	UID             types.UID
	ResourceVersion string // as last seen
	Number          int64  // the higher, the later the daemon had the template
	Revision        string // its label, which it shares with the pods of the template
	Content         string // of the template in its data, as in TemplateID; empty if there is none
	Holder          Holder
	Terminating     bool
}

// Holder is the relation of a ControllerRevision's controller to the daemon.
type Holder string

// The holders of a ControllerRevision.
const (
	Ours     Holder = "Ours"
	Stray    Holder = "Stray"  // ours, but the selector does not match its labels any more
	Nobody   Holder = "Nobody" // and the daemon may adopt it
	Somebody Holder = "Somebody"
)

// RevisionName returns <daemon>-<revision>, cut to the maximum length of a name.
func RevisionName(daemon, revision string) string {
	if room := validation.DNS1123SubdomainMaxLength - len(revision) - 1; len(daemon) > room {
		daemon = strings.TrimRight(daemon[:room], "-.")
	}
	return daemon + "-" + revision
}

// NewRevision returns a ControllerRevision of a daemon's template; annotations are the daemon's. A native one
// gets all of them, as kube-controller-manager does.
func NewRevision(template *Template, name string, number int64, annotations map[string]string) (*appsv1.ControllerRevision, error) {
	data, err := recordTemplate(&template.Pod)
	if err != nil {
		return nil, err
	}
	object := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       template.Namespace,
			Name:            name,
			Labels:          template.recordLabels(),
			OwnerReferences: []metav1.OwnerReference{template.Owner},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}
	if template.native() {
		object.Annotations = maps.Clone(annotations)
	} else if cause, given := annotations[changeCause]; given {
		object.Annotations = map[string]string{changeCause: cause}
	}
	return object, nil
}

// ObserveRevision extracts the part of a ControllerRevision that history keeps, except its holder; native is
// whether the daemon is native. A record without the label has its name as its revision, as in apps/v1.
func ObserveRevision(object *appsv1.ControllerRevision, native bool) Record {
	return Record{
		Name:            object.Name,
		UID:             object.UID,
		ResourceVersion: object.ResourceVersion,
		Number:          object.Revision,
		Revision:        cmp.Or(object.Labels[appsv1.ControllerRevisionHashLabelKey], object.Name),
		Content:         contentOf(object.Data.Raw, native),
		Terminating:     object.DeletionTimestamp != nil,
	}
}

// recordTemplate encodes a template as a strategic merge patch that restores it, in the form of apps/v1
// (k8s.io/kubernetes pkg/controller/daemon getPatch), so that readers of that form can read it. Numbers are
// kept verbatim, because a float cannot represent all of them.
func recordTemplate(template *corev1.PodTemplateSpec) ([]byte, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("the pod template cannot be encoded: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("the pod template cannot be encoded: %w", err)
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// recorded is the data of a ControllerRevision of a DaemonSet.
type recorded struct {
	Spec struct {
		Template *recordedTemplate `json:"template"`
	} `json:"spec"`
}

type recordedTemplate struct {
	corev1.PodTemplateSpec
	Patch string `json:"$patch"`
}

// contentOf returns the content of the template that recordTemplate wrote, as a native daemon or one of
// everynode.dev defines it; empty if data is something else. The data may come from any writer.
func contentOf(data []byte, native bool) string {
	var record recorded
	err := bounded.Unmarshal(data, &record)
	if refused := (*bounded.Error)(nil); native && errors.As(err, &refused) {
		return nativeContent(data) // identified by its bytes, as is a native daemon's own template with such a value
	}
	if err != nil || record.Spec.Template == nil {
		return ""
	}
	if native {
		return nativeContent(data)
	}
	revision, err := Revision(&record.Spec.Template.PodTemplateSpec)
	if err != nil {
		return ""
	}
	return revision
}

// nativeContent identifies a native template's record by its bytes. Records of the same template by different
// versions of Kubernetes are equal once they are decoded and encoded again: until 1.33 there was
// "creationTimestamp": null (k/k#134773). A record with unknown fields would lose them that way, so it is
// identified by its bytes as they are; so is one that is not safe to decode.
func nativeContent(data []byte) string {
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
