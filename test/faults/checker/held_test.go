package checker

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// stableFleet is a fleet whose pods have the stable revision, as its record says, and another template.
func (s *script) stableFleet(rollout v1alpha1.Rollout) (set *v1alpha1.DaemonSet, pods []*corev1.Pod) {
	set, _, pods = s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = &rollout }, limits(3, 0))
	s.change(watch.Added, history.ControllerRevisions, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "stable", UID: "uid-stable", OwnerReferences: pods[0].OwnerReferences,
			Labels:      map[string]string{appsv1.ControllerRevisionHashLabelKey: pods[0].Labels[appsv1.ControllerRevisionHashLabelKey]},
			Annotations: map[string]string{v1alpha1.StableAnnotation: "1"},
		},
		Revision: 1,
	})
	s.wait(time.Minute)
	return set, pods
}

func TestHeldBack(t *testing.T) {
	canaries := v1alpha1.Rollout{NodeSelector: &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"canary": "true"}}}
	play(t, R1, map[string]scene{
		"paused": {breaks: R1, play: func(s *script) {
			_, pods := s.stableFleet(v1alpha1.Rollout{Paused: true})
			s.knowing().drop(pods[0])
		}},
		"a node that is not selected": {breaks: R1, play: func(s *script) {
			_, pods := s.stableFleet(canaries)
			s.knowing().drop(pods[0])
		}},
		"nothing is held back": {play: func(s *script) {
			_, pods := s.stableFleet(v1alpha1.Rollout{})
			s.knowing().drop(pods[0])
		}},
		"nodes that join are updated": {play: func(s *script) {
			_, pods := s.stableFleet(v1alpha1.Rollout{Paused: true, NewNodes: v1alpha1.NewNodesUpdate})
			s.knowing().drop(pods[0])
		}},
		"paused when the controller could not know it": {play: func(s *script) {
			set, pods := s.stableFleet(v1alpha1.Rollout{})
			s.knowing()
			s.edit(set, func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = &v1alpha1.Rollout{Paused: true} })
			s.drop(pods[0])
		}},
	})
}
