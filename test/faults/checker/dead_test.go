package checker

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// mortals is a fleet with a rollout, whose stable revision is recorded, and whose template is another one.
func (s *script) mortals(dead *v1alpha1.DeadNodes) (set *v1alpha1.DaemonSet, nodes []*corev1.Node, pods []*corev1.Pod) {
	set, nodes, pods = s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = &v1alpha1.Rollout{DeadNodes: dead} }, limits(1, 0))
	s.change(watch.Added, history.ControllerRevisions, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "stable", UID: types.UID("uid-stable"), OwnerReferences: pods[0].OwnerReferences,
			Labels:      map[string]string{appsv1.ControllerRevisionHashLabelKey: pods[0].Labels[appsv1.ControllerRevisionHashLabelKey]},
			Annotations: map[string]string{v1alpha1.StableAnnotation: "1"},
		},
		Revision: 1,
	})
	update := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "update", UID: types.UID("uid-update"), OwnerReferences: pods[0].OwnerReferences}, Revision: 2}
	update.Data.Raw = []byte(text(map[string]any{"spec": map[string]any{"template": set.Spec.Template}}))
	s.change(watch.Added, history.ControllerRevisions, update)
	s.wait(time.Minute)
	return set, nodes, pods
}

// dies has a node turn not Ready, and a pod of it too.
func (s *script) dies(node *corev1.Node, pod *corev1.Pod) {
	s.nodeChanges(node, func(node *corev1.Node) {
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: metav1.NewTime(s.now)}}
	})
	s.ready(pod, false)
}

func TestDeadNodes(t *testing.T) {
	play(t, S4, map[string]scene{
		"a dead node costs nothing": {play: func(s *script) {
			_, nodes, pods := s.mortals(nil)
			s.dies(nodes[0], pods[0])
			s.wait(time.Minute)
			s.knowing().drop(pods[1])
		}},
		"one that is not dead yet costs": {breaks: S4, play: func(s *script) {
			_, nodes, pods := s.mortals(nil)
			s.dies(nodes[0], pods[0])
			s.wait(40 * time.Second)
			s.knowing().drop(pods[1])
		}},
		"by another afterSeconds it is dead": {play: func(s *script) {
			_, nodes, pods := s.mortals(&v1alpha1.DeadNodes{AfterSeconds: 30})
			s.dies(nodes[0], pods[0])
			s.wait(40 * time.Second)
			s.knowing().drop(pods[1])
		}},
		"dead nodes count": {breaks: S4, play: func(s *script) {
			_, nodes, pods := s.mortals(&v1alpha1.DeadNodes{Policy: v1alpha1.DeadNodesCount})
			s.dies(nodes[0], pods[0])
			s.wait(time.Hour)
			s.knowing().drop(pods[1])
		}},
		"one that is Ready again costs": {breaks: S4, play: func(s *script) {
			_, nodes, pods := s.mortals(nil)
			s.dies(nodes[0], pods[0])
			s.wait(time.Hour)
			s.nodeChanges(nodes[0], func(node *corev1.Node) { node.Status.Conditions[0].Status = corev1.ConditionTrue })
			s.knowing().drop(pods[1])
		}},
		"one that died after its update costs": {breaks: S4, play: func(s *script) {
			set, nodes, pods := s.mortals(nil)
			s.knowing().drop(pods[0])
			s.remove(pods[0])
			updated := s.run(set, nodes[0], "new")
			s.dies(nodes[0], updated)
			s.wait(time.Hour)
			s.knowing().drop(pods[1])
		}},
		"its pod was bound after it died": {play: func(s *script) {
			set, nodes, pods := s.mortals(nil)
			s.dies(nodes[0], pods[0])
			s.remove(pods[0])
			s.bind(s.create(set, nodes[0], "new"), nodes[0].Name)
			s.wait(time.Hour)
			s.knowing().drop(pods[1])
		}},
	})
}
