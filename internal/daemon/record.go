package daemon

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
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
	Stable          int64  // the higher, the later its revision became stable; 0 if it never did
	Holder          Holder
	Terminating     bool

	Notes map[string]string // of a rollout, by annotation; nil without any
}

// Holder is the relation of a ControllerRevision's controller to the daemon.
type Holder string

// The holders of a ControllerRevision.
const (
	Ours    Holder = "Ours"
	Stray   Holder = "Stray"   // ours, but the selector does not match its labels any more
	Unowned Holder = "Unowned" // it has no controller, and the daemon may adopt it
	Foreign Holder = "Foreign" // another object is its controller, or it may not be adopted
)

// RevisionName returns <daemon>-<revision>, cut to the maximum length of a name.
func RevisionName(daemon, revision string) string {
	if room := validation.DNS1123SubdomainMaxLength - len(revision) - 1; len(daemon) > room {
		daemon = strings.TrimRight(daemon[:room], "-.")
	}
	return daemon + "-" + revision
}

// NewRevision returns a ControllerRevision of a daemon's template; annotations are the daemon's, nil for a former
// template.
func NewRevision(template *Template, name string, number int64, annotations map[string]string) (*appsv1.ControllerRevision, error) {
	data, err := recordTemplate(&template.Pod)
	if err != nil {
		return nil, err
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       template.Namespace,
			Name:            name,
			Labels:          template.recordLabels(),
			Annotations:     template.Kind.recordAnnotations(template.Generation, annotations),
			OwnerReferences: []metav1.OwnerReference{template.Owner},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}, nil
}

// ObserveRevision extracts the part of a ControllerRevision that history keeps, except what depends on the daemon:
// the holder, and the content (ContentsOf). A record without the label has its name as its revision, as in apps/v1.
func ObserveRevision(object *appsv1.ControllerRevision) Record {
	return Record{
		Name:            object.Name,
		UID:             object.UID,
		ResourceVersion: object.ResourceVersion,
		Number:          object.Revision,
		Revision:        cmp.Or(object.Labels[appsv1.ControllerRevisionHashLabelKey], object.Name),
		Terminating:     object.DeletionTimestamp != nil,
		Stable:          stableNumber(object),
		Notes:           notesOf(object),
	}
}

// Contents is the content of a ControllerRevision for a daemon of each kind, in the order of kinds. Any of them may
// adopt an orphan.
type Contents [len(kinds)]string

// ContentsOf returns the content of the template in a ControllerRevision's data.
func ContentsOf(data []byte) (contents Contents) {
	for i, kind := range kinds {
		contents[i] = kind.content(data)
	}
	return contents
}

// For returns the content for a daemon of a kind.
func (c Contents) For(kind Kind) string {
	for i := range kinds {
		if kinds[i] == kind {
			return c[i]
		}
	}
	return ""
}

// Readable reports whether the data contains a template that can be decoded, whatever the kind.
func (c Contents) Readable() bool { return !slices.Contains(c[:], "") }

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
