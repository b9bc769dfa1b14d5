// Place has pods of random templates placed by the webhook, or by the controller itself, until the checker reports an invariant. See package mutants.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-logr/logr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/mutants/chase"
	"github.com/everynode/everynode/webhook"
)

const controller = "system:serviceaccount:everynode-system:everynode-controller"

func main() { chase.Main(run) }

// journal is a history that is being written.
type journal struct {
	*history.History
	revision int64
}

func (j *journal) add(record history.Record) {
	record.At = time.Unix(int64(len(j.Records)), 0)
	j.Records = append(j.Records, record)
}

func (j *journal) added(resource history.Resource, object client.Object) {
	j.revision++
	j.add(history.Record{Revision: j.revision, Change: &history.Change{Type: watch.Added, Resource: resource, Object: object}})
}

// run creates a daemon of a random template, nodes, and a pod on each.
func run(seed uint64) *history.History {
	random := rand.New(rand.NewPCG(seed, 2))
	j := &journal{History: &history.History{Title: fmt.Sprintf("webhook, seed %d", seed), Controllers: []string{controller}}}
	place := byWebhook
	if seed%2 == 1 {
		j.Title, place = fmt.Sprintf("controller, seed %d", seed), byController
	}
	set := daemonSet(random)
	j.added(history.DaemonSets, set)
	var nodes []*corev1.Node
	for _, pool := range []string{"a", "b", "c"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n-" + pool, UID: types.UID("uid-" + pool), Labels: map[string]string{"pool": pool}}}
		nodes = append(nodes, node)
		j.added(history.Nodes, node)
	}
	for _, node := range nodes {
		if eligible(set, node) {
			j.create(emitted(set, node), place)
		}
	}
	return j.History
}

// daemonSet returns one whose pods may run in some pools, with gates of others.
func daemonSet(random *rand.Rand) *v1alpha1.DaemonSet {
	labels := map[string]string{"app": "d"}
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "uid-d", Generation: 1},
		Spec: v1alpha1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
		}},
	}
	spec := &set.Spec.Template.Spec
	for n := range random.IntN(3) {
		spec.SchedulingGates = append(spec.SchedulingGates, corev1.PodSchedulingGate{Name: fmt.Sprintf("example.com/gate-%d", n)})
	}
	var terms []corev1.NodeSelectorTerm
	for _, pool := range []string{"a", "b"}[:random.IntN(3)] {
		terms = append(terms, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: []string{pool}}}})
	}
	if len(terms) > 0 {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
	}
	return set
}

// eligible reports whether a node has the pool of one of the template's terms.
func eligible(set *v1alpha1.DaemonSet, node *corev1.Node) bool {
	affinity := set.Spec.Template.Spec.Affinity
	if affinity == nil {
		return true
	}
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if term.MatchExpressions[0].Values[0] == node.Labels["pool"] {
			return true
		}
	}
	return false
}

// emitted returns the pod that a controller sends for a node.
func emitted(set *v1alpha1.DaemonSet, node *corev1.Node) *corev1.Pod {
	template := set.Spec.Template.DeepCopy()
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = set.Namespace, set.Name+"-"+node.Name
	pod.Annotations = map[string]string{v1alpha1.NodeUIDAnnotation: string(node.UID)}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, v1alpha1.GroupVersion.WithKind("DaemonSet"))}
	pod.Spec.NodeName, pod.Spec.SchedulerName = node.Name, v1alpha1.SchedulerName
	pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})
	return pod
}

// create sends a pod and stores it as it is placed, unless the API server's interlock refuses the result.
func (j *journal) create(sent *corev1.Pod, place func(*corev1.Pod) *corev1.Pod) {
	request := &history.Request{User: controller, Verb: "create", Resource: string(history.Pods), Namespace: sent.Namespace, Name: sent.Name, Object: sent, Code: http.StatusCreated}
	j.add(history.Record{Request: request})
	stored := place(sent)
	if stored.Spec.NodeName != "" && len(stored.Spec.SchedulingGates) > 0 {
		request.Code, request.Reason = http.StatusUnprocessableEntity, string(metav1.StatusReasonInvalid)
		return
	}
	stored.UID = types.UID("uid-" + stored.Name)
	j.added(history.Pods, stored)
}

// byController places a pod as the controller does while admission is not effective.
func byController(pod *corev1.Pod) *corev1.Pod {
	stored := pod.DeepCopy()
	if _, err := daemon.Rewrite(stored, v1alpha1.PlacedByController); err != nil {
		panic(err)
	}
	return stored
}

// byWebhook returns a pod with the webhook's patch.
func byWebhook(pod *corev1.Pod) *corev1.Pod {
	raw := must(json.Marshal(pod))
	review := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &admissionv1.AdmissionRequest{
		UID: "1", Operation: admissionv1.Create, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: pod.Namespace, Name: pod.Name, Object: runtime.RawExtension{Raw: raw},
	}}
	asked := httptest.NewRequest(http.MethodPost, webhook.PlacementPath, bytes.NewReader(must(json.Marshal(review))))
	asked.Header.Set("Content-Type", "application/json")
	answered := httptest.NewRecorder()
	webhook.Handler(logr.Discard(), nil, nil).ServeHTTP(answered, asked)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(answered.Body.Bytes(), &answer); err != nil || answer.Response == nil || !answer.Response.Allowed {
		panic(fmt.Sprintf("the webhook answered %d %s", answered.Code, answered.Body))
	}
	patch := must(jsonpatch.DecodePatch(answer.Response.Patch))
	var stored corev1.Pod
	if err := json.Unmarshal(must(patch.Apply(raw)), &stored); err != nil {
		panic(err)
	}
	return &stored
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
