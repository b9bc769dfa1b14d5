package checker

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

const (
	controller = "system:serviceaccount:everynode-system:everynode-controller"
	scheduler  = "system:serviceaccount:everynode-system:everynode-scheduler"
	user       = "jane"
	bystander  = "other"
)

// script writes a history step by step. Each step takes a second, unless it says otherwise.
type script struct {
	h        *history.History
	now      time.Time
	revision int64
	view     *history.View // of the next requests
}

func newScript() *script {
	return &script{
		h:   &history.History{Title: "a script", Controllers: []string{controller}, Schedulers: []string{scheduler}, Bystanders: []string{bystander}},
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func (s *script) wait(d time.Duration) { s.now = s.now.Add(d) }

func (s *script) add(r history.Record) {
	r.At = s.now
	s.h.Records = append(s.h.Records, r)
	s.wait(time.Second)
}

func (s *script) change(event watch.EventType, resource history.Resource, object client.Object) {
	s.revision++
	s.add(history.Record{Revision: s.revision, Change: &history.Change{Type: event, Resource: resource, Object: object.DeepCopyObject().(client.Object)}})
}

func (s *script) request(r history.Request) {
	r.View = s.view
	s.add(history.Record{Request: &r})
}

func (s *script) mark(kind history.MarkKind) { s.add(history.Record{Mark: &history.Mark{Kind: kind}}) }

// knowing makes the next requests of the controller know what has happened up to now.
func (s *script) knowing() *script {
	s.view = &history.View{Process: "controller-1", At: s.now, To: map[history.Resource]int64{}}
	for _, resource := range decisive {
		s.view.To[resource] = s.revision
	}
	return s
}

// node adds a node.
func (s *script) node(name string, change ...func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	for _, c := range change {
		c(node)
	}
	s.change(watch.Added, history.Nodes, node)
	return node
}

func (s *script) nodeChanges(node *corev1.Node, change func(*corev1.Node)) {
	change(node)
	s.change(watch.Modified, history.Nodes, node)
}

func tainted(effect corev1.TaintEffect) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "dedicated", Value: "x", Effect: effect})
	}
}

// daemon adds a DaemonSet.
func (s *script) daemon(name string, change ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec: v1alpha1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
		}},
	}
	for _, c := range change {
		c(set)
	}
	s.change(watch.Added, history.DaemonSets, set)
	return set
}

func limits(unavailable, surge int32) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		u, s := intstr.FromInt32(unavailable), intstr.FromInt32(surge)
		set.Spec.UpdateStrategy.RollingUpdate = &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &u, MaxSurge: &s}
	}
}

func onDelete(set *v1alpha1.DaemonSet) {
	set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
}

func image(name string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = name }
}

// edit changes the spec of a DaemonSet.
func (s *script) edit(set *v1alpha1.DaemonSet, change ...func(*v1alpha1.DaemonSet)) {
	for _, c := range change {
		c(set)
	}
	set.Generation++
	s.change(watch.Modified, history.DaemonSets, set)
}

// emitted is the pod that the controller sends for a node.
func (s *script) emitted(set *v1alpha1.DaemonSet, node *corev1.Node, name string) *corev1.Pod {
	template := set.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = set.Namespace, name
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = "of-" + template.Spec.Containers[0].Image
	pod.Annotations = map[string]string{v1alpha1.NodeUIDAnnotation: string(node.UID)}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, v1alpha1.GroupVersion.WithKind("DaemonSet"))}
	pod.Spec.NodeName, pod.Spec.SchedulerName = node.Name, v1alpha1.SchedulerName
	pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: v1alpha1.PlacementGate})
	return pod
}

// placed is an emitted pod after admission.
func placed(pod *corev1.Pod) *corev1.Pod {
	stored := pod.DeepCopy()
	stored.Spec.NodeName = ""
	stored.Spec.SchedulingGates = stored.Spec.SchedulingGates[:len(stored.Spec.SchedulingGates)-1]
	if stored.Spec.Affinity == nil {
		stored.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}}}
	}
	terms := stored.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for i := range terms {
		terms[i].MatchFields = append(terms[i].MatchFields, corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{pod.Spec.NodeName}})
	}
	return stored
}

// send requests a pod, and stores another form of it.
func (s *script) send(sent, stored *corev1.Pod) *corev1.Pod {
	s.request(history.Request{User: controller, Verb: "create", Resource: "pods", Namespace: sent.Namespace, Name: sent.Name, Object: sent, Code: 201})
	stored = stored.DeepCopy()
	stored.UID, stored.CreationTimestamp = types.UID("uid-"+sent.Name), metav1.NewTime(s.now)
	s.change(watch.Added, history.Pods, stored)
	return stored
}

// create has the controller create a pod.
func (s *script) create(set *v1alpha1.DaemonSet, node *corev1.Node, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	sent := s.emitted(set, node, name)
	for _, c := range change {
		c(sent)
	}
	return s.send(sent, placed(sent))
}

func surging(pod *corev1.Pod) { pod.Annotations[v1alpha1.SurgeAnnotation] = "true" }

func (s *script) podChanges(pod *corev1.Pod, change func(*corev1.Pod)) {
	change(pod)
	s.change(watch.Modified, history.Pods, pod)
}

func (s *script) bind(pod *corev1.Pod, node string) {
	s.podChanges(pod, func(pod *corev1.Pod) { pod.Spec.NodeName = node })
}

func (s *script) ready(pod *corev1.Pod, ready bool) {
	s.podChanges(pod, func(pod *corev1.Pod) {
		status := corev1.ConditionFalse
		if ready {
			status = corev1.ConditionTrue
		}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(s.now)}}
	})
}

// run creates a pod that is bound and ready.
func (s *script) run(set *v1alpha1.DaemonSet, node *corev1.Node, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := s.create(set, node, name, change...)
	s.bind(pod, node.Name)
	s.ready(pod, true)
	return pod
}

// ask requests the delete of a pod.
func (s *script) ask(by string, pod *corev1.Pod) {
	s.request(history.Request{User: by, Verb: "delete", Resource: "pods", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Code: 200})
}

// terminate makes a pod terminating.
func (s *script) terminate(pod *corev1.Pod) {
	s.podChanges(pod, func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: s.now} })
}

// remove removes a pod.
func (s *script) remove(pod *corev1.Pod) { s.change(watch.Deleted, history.Pods, pod) }

// drop has the controller delete a pod, which then ends.
func (s *script) drop(pod *corev1.Pod) {
	s.ask(controller, pod)
	s.terminate(pod)
}

// nodes adds a number of nodes.
func (s *script) nodes(number int) (nodes []*corev1.Node) {
	for i := range number {
		nodes = append(nodes, s.node(fmt.Sprintf("n%d", i+1)))
	}
	return nodes
}

// scene is a history of a test, and what it breaks: an invariant, or none.
type scene struct {
	play     func(*script)
	breaks   string
	unjudged string // an invariant that must be counted as unjudged
}

func play(t *testing.T, judges string, scenes map[string]scene) {
	t.Helper()
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			scene.play(s)
			verdict := Judge(s.h)
			if scene.unjudged != "" {
				if verdict.Unjudged[scene.unjudged] == 0 {
					t.Errorf("%s is not counted as unjudged: %s", scene.unjudged, verdict.Summary())
				}
			} else if verdict.Judged[judges] == 0 {
				t.Errorf("%s was never judged: %s", judges, verdict.Summary())
			}
			for _, violation := range verdict.Violations {
				if violation.ID != scene.breaks {
					t.Errorf("unexpected: %s", violation)
				}
			}
			if scene.breaks != "" && !verdict.Broke(scene.breaks) {
				t.Errorf("%s is not reported:\n%s", scene.breaks, s.h.Text(0, len(s.h.Records)))
			}
		})
	}
}

func quantity(text string) *resource.Quantity {
	q := resource.MustParse(text)
	return &q
}

func withPriority(priority int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Priority = &priority }
}

// runAll runs a pod on each node.
func (s *script) runAll(set *v1alpha1.DaemonSet, nodes []*corev1.Node, number int) (pods []*corev1.Pod) {
	for _, node := range nodes {
		pods = append(pods, s.run(set, node, fmt.Sprintf("p-%s-%d", node.Name, number)))
	}
	return pods
}
