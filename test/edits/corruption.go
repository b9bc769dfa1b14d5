package edits

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Corruption changes the metadata of an object that the controller wrote, as other controllers, users and faulty storage do.
type Corruption struct {
	Name  string
	apply func(object metav1.Object, random *rand.Rand)
}

// Apply corrupts an object.
func (c Corruption) Apply(object metav1.Object, random *rand.Rand) { c.apply(object, random) }

// nobody is how the UIDs of owners begin that do not exist.
const nobody = "0b8a7c1e-0000-4000-8000-"

// both apply to pods and to ControllerRevisions.
var both = []Corruption{
	{"no owner", func(object metav1.Object, _ *rand.Rand) { object.SetOwnerReferences(nil) }},
	// Either that or another version, never both: the garbage collector deletes no dependent of an owner that it cannot look up, so
	// nothing would recover before somebody deletes the pod.
	{"an owner that does not exist", owner(func(of *metav1.OwnerReference, random *rand.Rand) {
		if strings.HasPrefix(of.APIVersion, v1alpha1.GroupName+"/") {
			of.APIVersion = v1alpha1.GroupVersion.String()
		}
		of.UID = types.UID(fmt.Sprintf("%s%012d", nobody, random.IntN(1000)))
	})},
	{"an owner that is no controller", owner(func(of *metav1.OwnerReference, _ *rand.Rand) { no := false; of.Controller = &no })},
	{"an owner of another version", owner(func(of *metav1.OwnerReference, _ *rand.Rand) {
		if of.APIVersion == v1alpha1.GroupVersion.String() && !strings.HasPrefix(string(of.UID), nobody) {
			of.APIVersion = v1alpha1.GroupName + "/v1"
		}
	})},
	{"another revision", label(appsv1.ControllerRevisionHashLabelKey, "0000000000")},
	{"no revision", label(appsv1.ControllerRevisionHashLabelKey, "")},
	{"an additional label", label("example.com/corrupt", "1")},
	{"no labels", func(object metav1.Object, _ *rand.Rand) { object.SetLabels(nil) }},
	{"no annotations", func(object metav1.Object, _ *rand.Rand) { object.SetAnnotations(nil) }},
}

// PodCorruptions are those of a pod.
var PodCorruptions = append([]Corruption{
	{"another incarnation of the node", annotation(v1alpha1.NodeUIDAnnotation, "0b8a7c1e")},
	{"a surge", annotation(v1alpha1.SurgeAnnotation, "true")},
	{"placed by nobody", annotation(v1alpha1.PlacedByAnnotation, "nobody")},
	{"another value of the selector's label", func(object metav1.Object, _ *rand.Rand) {
		labels := maps.Clone(object.GetLabels())
		for key := range labels {
			labels[key] = "corrupt"
		}
		object.SetLabels(labels)
	}},
	{"finished", func(object metav1.Object, _ *rand.Rand) { object.(*corev1.Pod).Status.Phase = corev1.PodFailed }},
}, both...)

// RevisionCorruptions are those of a ControllerRevision. The API server does not accept another content.
var RevisionCorruptions = append([]Corruption{
	{"number 0", number(func(int64) int64 { return 0 })},
	{"a large number", number(func(n int64) int64 { return n + 1<<40 })},
}, both...)

func owner(change func(*metav1.OwnerReference, *rand.Rand)) func(metav1.Object, *rand.Rand) {
	return func(object metav1.Object, random *rand.Rand) {
		owners := append([]metav1.OwnerReference(nil), object.GetOwnerReferences()...)
		for i := range owners {
			change(&owners[i], random)
		}
		object.SetOwnerReferences(owners)
	}
}

func label(key, value string) func(metav1.Object, *rand.Rand) {
	return func(object metav1.Object, _ *rand.Rand) { object.SetLabels(with(object.GetLabels(), key, value)) }
}

func annotation(key, value string) func(metav1.Object, *rand.Rand) {
	return func(object metav1.Object, _ *rand.Rand) {
		object.SetAnnotations(with(object.GetAnnotations(), key, value))
	}
}

// with returns a copy with a value; "" removes the key.
func with(values map[string]string, key, value string) map[string]string {
	changed := maps.Clone(values)
	if changed == nil {
		changed = map[string]string{}
	}
	if changed[key] = value; value == "" {
		delete(changed, key)
	}
	return changed
}

func number(change func(int64) int64) func(metav1.Object, *rand.Rand) {
	return func(object metav1.Object, _ *rand.Rand) {
		record := object.(*appsv1.ControllerRevision)
		record.Revision = change(record.Revision)
	}
}
