package checker

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// marked changes what is recorded of the open wave.
func (s *script) marked(pods []*corev1.Pod, mark string) {
	s.change(watch.Modified, history.ControllerRevisions, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "stable", UID: "uid-stable", OwnerReferences: pods[0].OwnerReferences,
			Labels:      map[string]string{appsv1.ControllerRevisionHashLabelKey: pods[0].Labels[appsv1.ControllerRevisionHashLabelKey]},
			Annotations: map[string]string{v1alpha1.StableAnnotation: "1", v1alpha1.WaveAnnotation: mark},
		},
		Revision: 1,
	})
}

// Waves pass one by one, and after their soak.
func TestWavesPass(t *testing.T) {
	open := func(s *script) []*corev1.Pod {
		one := intstr.FromInt32(1)
		_, pods := s.stableFleet(v1alpha1.Rollout{Waves: []v1alpha1.Wave{{Name: "one", Nodes: &one, Soak: "10m"}, {Name: "two", Nodes: &one}}})
		return pods
	}
	soaking := func(s *script) []*corev1.Pod {
		pods := open(s)
		s.marked(pods, "0/one number=1 since="+s.now.UTC().Format(time.RFC3339))
		return pods
	}
	play(t, R1, map[string]scene{
		"in time": {play: func(s *script) {
			pods := soaking(s)
			s.wait(10 * time.Minute)
			s.marked(pods, "1/two number=1")
		}},
		"too early": {breaks: R1, play: func(s *script) {
			pods := soaking(s)
			s.wait(9 * time.Minute)
			s.marked(pods, "1/two number=1")
		}},
		"without a soak": {breaks: R1, play: func(s *script) { s.marked(open(s), "1/two number=1") }},
		"too early after an interruption": {breaks: R1, play: func(s *script) {
			pods := open(s)
			s.marked(pods, "0/one number=1 soaked=8m0s")
			s.wait(time.Minute)
			s.marked(pods, "1/two number=1")
		}},
		"in time after an interruption": {play: func(s *script) {
			pods := open(s)
			s.marked(pods, "0/one number=1 soaked=8m0s")
			s.wait(2 * time.Minute)
			s.marked(pods, "1/two number=1")
		}},
		"two at once": {breaks: R1, play: func(s *script) {
			pods := soaking(s)
			s.wait(10 * time.Minute)
			s.marked(pods, "2/ number=1")
		}},
		"promoted": {play: func(s *script) { s.marked(soaking(s), "1/two number=1 promoted") }},
	})
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
		"a node of a later wave": {breaks: R1, play: func(s *script) {
			_, pods := s.stableFleet(v1alpha1.Rollout{Waves: []v1alpha1.Wave{{Name: "canary", NodeSelector: canaries.NodeSelector}}})
			s.knowing().drop(pods[0])
		}},
		"a node of a wave with a number": {play: func(s *script) {
			one := intstr.FromInt32(1)
			_, pods := s.stableFleet(v1alpha1.Rollout{Waves: []v1alpha1.Wave{{Name: "one", Nodes: &one}}})
			s.knowing().drop(pods[0])
		}},
		"all waves have passed": {play: func(s *script) {
			_, pods := s.stableFleet(v1alpha1.Rollout{Waves: []v1alpha1.Wave{{Name: "canary", NodeSelector: canaries.NodeSelector}}})
			s.marked(pods, "1/ number=1")
			s.wait(time.Minute)
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
