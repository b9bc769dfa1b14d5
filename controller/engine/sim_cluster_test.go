package engine_test

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
)

// The environment of the engine: users, nodes, a scheduler and kubelets, one step at a time.

const maxUnavailable = 2

func (s *sim) add(object client.Object) {
	faults := s.faults
	s.faults = false
	if err := s.api.Create(s.ctx, object); err != nil {
		s.t.Fatal(err)
	}
	s.faults = faults
}

// runtimeClass is what every daemon's template names.
const runtimeClass = "class"

// addDaemons creates a daemon that is rolled out with maxUnavailable, and one with maxSurge.
func (s *sim) addDaemons() {
	limit, none := intstr.FromInt32(maxUnavailable), intstr.FromInt32(0)
	ofClass := func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.RuntimeClassName = ptr.To(runtimeClass) }
	s.add(fixture.Daemon("d", ofClass, func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &limit}}
	}))
	s.add(fixture.Daemon("surge", ofClass, func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &limit}}
	}))
}

// setClass makes the RuntimeClass exclude every second node, or none.
func (s *sim) setClass(some bool) {
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: runtimeClass}}
	if some {
		class.Scheduling = &nodev1.Scheduling{NodeSelector: map[string]string{"pool": "0"}}
	}
	s.log("the RuntimeClass excludes some nodes: %v", some)
	s.closing = some
	s.engine.RuntimeClasses().Added(class)
}

// closed reports whether the RuntimeClass excludes a node, as far as the engine has observed both.
func (s *sim) closed(node string) bool {
	seen, there := s.seen["Node"]["/"+node].(*corev1.Node)
	return !there || s.closing && seen.Labels["pool"] != "0"
}

func (s *sim) addNode() {
	s.nodes++
	node := fixture.Node(fmt.Sprintf("n%02d", s.nodes))
	node.Labels = map[string]string{"pool": fmt.Sprint(s.nodes % 2)}
	s.add(node)
}

// clusterStep executes one step of the environment.
func (s *sim) clusterStep() {
	pods, nodes := s.pods(), s.api.Objects("Node")
	switch n := s.random.IntN(100); {
	case n < 3:
		s.log("a node joins")
		s.addNode()
	case n < 5 && len(nodes) > 3:
		node := nodes[s.random.IntN(len(nodes))]
		s.log("node %s leaves", node.GetName())
		s.api.Remove(node)
		for _, pod := range pods {
			if pod.Spec.NodeName == node.GetName() {
				s.api.Remove(pod)
			}
		}
	case n < 13:
		s.changeTemplate()
	case n < 16 && len(pods) > 0:
		pod := pods[s.random.IntN(len(pods))]
		s.log("pod %s fails", pod.Name)
		s.api.Change(pod, func(object client.Object) {
			status := &object.(*corev1.Pod).Status
			status.Phase, status.Conditions = corev1.PodFailed, nil
		}, false)
	case n < 19 && len(pods) > 0:
		pod := pods[s.random.IntN(len(pods))]
		s.log("a user deletes pod %s", pod.Name)
		s.api.Remove(pod)
	case n < 21:
		s.full = !s.full
		s.log("a quota is full: %v", s.full)
	case n < 24:
		s.setClass(s.chance(50))
	default:
		if len(pods) > 0 {
			s.serve(pods[s.random.IntN(len(pods))])
		}
	}
}

func (s *sim) changeTemplate() {
	sets := s.api.Objects("DaemonSet.everynode.dev")
	set, image := sets[s.random.IntN(len(sets))], fmt.Sprintf("image:%d", 1+s.random.IntN(3))
	s.log("%s has %s", set.GetName(), image)
	s.api.Change(set, func(object client.Object) {
		object.(*v1alpha1.DaemonSet).Spec.Template.Spec.Containers[0].Image = image
	}, true)
}

// serve executes the next step of the scheduler or the kubelet for a pod: it is bound, becomes ready, or finishes terminating.
func (s *sim) serve(pod *corev1.Pod) {
	switch {
	case pod.DeletionTimestamp != nil:
		s.log("pod %s has ended", pod.Name)
		s.api.Remove(pod)
	case pod.Spec.NodeName == "" && s.room(pod):
		node, _ := daemon.Target(pod)
		s.log("pod %s is bound to %s", pod.Name, node)
		s.api.Change(pod, func(object client.Object) { object.(*corev1.Pod).Spec.NodeName = node }, false)
	case pod.Spec.NodeName != "" && pod.Status.Phase == "":
		s.log("pod %s is ready", pod.Name)
		s.api.Change(pod, func(object client.Object) {
			object.(*corev1.Pod).Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.clock.Now())},
			}}
		}, false)
	}
}

// room is the scheduler's uniqueness: no other bound pod of the daemon on the node, except one of another revision
// when the pod surges.
func (s *sim) room(pod *corev1.Pod) bool {
	cell, ok := daemon.CellOf(pod)
	if !ok {
		return false
	}
	_, surges := pod.Annotations[v1alpha1.SurgeAnnotation]
	others := 0
	for _, other := range s.pods() {
		if at, ok := daemon.CellOf(other); !ok || at != cell || other.Spec.NodeName == "" || other.UID == pod.UID {
			continue
		}
		if others++; !surges || other.Labels[revisionLabel] == pod.Labels[revisionLabel] {
			return false
		}
	}
	return others < 2
}

func (s *sim) pods() []*corev1.Pod {
	objects := s.api.Objects("Pod")
	pods := make([]*corev1.Pod, len(objects))
	for i, object := range objects {
		pods[i] = object.(*corev1.Pod)
	}
	return pods
}

// checkCell checks S1: no pod is requested while the engine has observed another one in its cell that has not ended, except
// one of another revision when it surges.
func (s *sim) checkCell(asked *corev1.Pod) {
	cell, _ := daemon.CellOf(asked)
	for _, pod := range s.delivered {
		if at, ok := daemon.CellOf(pod); !ok || at != cell || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if _, surges := asked.Annotations[v1alpha1.SurgeAnnotation]; !surges || pod.Labels[revisionLabel] == asked.Labels[revisionLabel] {
			s.t.Fatalf("S1: pod %s is requested, and pod %s exists", asked.Name, pod.Name)
		}
	}
}

const revisionLabel = appsv1.ControllerRevisionHashLabelKey

// checkEligible checks S3: a pod is requested only for a node that exists and is eligible as far as the engine has observed.
func (s *sim) checkEligible(pod *corev1.Pod) {
	node, there := s.seen["Node"]["/"+pod.Spec.NodeName].(*corev1.Node)
	target, _ := daemon.Target(pod)
	if pod.Spec.NodeName == "" {
		node, there = s.seen["Node"]["/"+target].(*corev1.Node)
	}
	set, known := s.seen["DaemonSet.everynode.dev"][pod.Namespace+"/"+pod.OwnerReferences[0].Name].(*caches.Set)
	if !there || !known || !daemon.NewRules(set.Workload.Template).Evaluate(node).ShouldRun || s.closed(node.Name) {
		s.logHistory()
		s.t.Fatalf("S3: pod %s is requested for node %q", pod.Name, target)
	}
}

// checkBudget checks S4: a delete of a node's last available pod leaves no more than maxUnavailable eligible
// nodes without one, as far as the engine has observed pods, and counting every delete that it ever sent.
func (s *sim) checkBudget(deleted *corev1.Pod) {
	goes := s.delivered[deleted.Namespace+"/"+deleted.Name]
	if goes == nil || !s.available(goes) {
		return
	}
	owner, node := goes.OwnerReferences[0].Name, goes.Spec.NodeName
	s.deleted[goes.UID] = true
	with := map[string]bool{}
	for _, pod := range s.delivered {
		if pod.OwnerReferences[0].Name == owner && s.available(pod) {
			with[pod.Spec.NodeName] = true
		}
	}
	if s.closed(node) || with[node] {
		return
	}
	without, limit := 0, map[string]int{"d": maxUnavailable, "surge": 0}[owner]
	for key := range s.seen["Node"] {
		if name := key[1:]; !with[name] && !s.closed(name) {
			without++
		}
	}
	if without > limit {
		s.logHistory()
		s.t.Fatalf("S4: the delete of pod %s leaves %d nodes without an available pod, at most %d may be", goes.Name, without, limit)
	}
}

// available reports whether a pod serves its node as far as the engine has observed.
func (s *sim) available(pod *corev1.Pod) bool {
	ready := len(pod.Status.Conditions) > 0 && pod.Status.Conditions[0].Status == corev1.ConditionTrue
	return ready && pod.DeletionTimestamp == nil && !s.deleted[pod.UID]
}

// logHistory prints the end of the history that led to a violation.
func (s *sim) logHistory() {
	const shown = 20_000
	text := s.history.String()
	s.t.Logf("the history ends with:\n%s", text[max(0, len(text)-shown):])
}
