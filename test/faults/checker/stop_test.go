package checker

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

func (s *script) stop(kind watch.EventType) {
	s.change(kind, history.ConfigMaps, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.StopName}, Data: map[string]string{v1alpha1.StopKey: "true"},
	})
}

func TestEmergencyStop(t *testing.T) {
	play(t, E1, map[string]scene{
		"the stop is on": {breaks: E1, play: func(s *script) {
			_, _, pods := s.fleet(limits(3, 0))
			s.stop(watch.Added)
			s.wait(time.Minute)
			s.knowing().drop(pods[0])
		}},
		"the controller could not know": {play: func(s *script) {
			_, _, pods := s.fleet(limits(3, 0))
			s.wait(time.Minute)
			s.knowing()
			s.stop(watch.Added)
			s.drop(pods[0])
		}},
		"it was off again": {play: func(s *script) {
			_, _, pods := s.fleet(limits(3, 0))
			s.stop(watch.Added)
			s.wait(time.Minute)
			s.stop(watch.Deleted)
			s.knowing().drop(pods[0])
		}},
		"a suspended DaemonSet": {play: func(s *script) {
			set, _, pods := s.fleet(limits(3, 0))
			s.stop(watch.Added)
			s.edit(set, func(set *v1alpha1.DaemonSet) { set.Spec.Suspend = true })
			s.wait(time.Minute)
			s.knowing().drop(pods[0])
		}},
	})
}
