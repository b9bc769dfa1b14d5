package checker

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// rules records a ruling on the revision of a fleet's pods.
func (s *script) rules(pods []*corev1.Pod, text string, more ...string) {
	record := &appsv1.ControllerRevision{}
	record.Namespace, record.Name, record.UID, record.OwnerReferences = "ns", "r", "uid-r", pods[0].OwnerReferences
	record.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: pods[0].Labels[appsv1.ControllerRevisionHashLabelKey]}
	s.change(watch.Added, history.ControllerRevisions, record.DeepCopy())
	for _, text := range append([]string{text}, more...) {
		record.Annotations = map[string]string{v1alpha1.VerdictAnnotation: text}
		s.change(watch.Modified, history.ControllerRevisions, record.DeepCopy())
	}
}

func TestRulings(t *testing.T) {
	const restarts = `{"uid":"uid-r","reason":"ContainerRestarts"}`
	crashed := func(s *script, pod *corev1.Pod) {
		changed := pod.DeepCopy()
		changed.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", RestartCount: 3}}
		s.change(watch.Modified, history.Pods, changed)
	}
	open := func(s *script) []*corev1.Pod {
		_, _, pods := s.fleet(func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = &v1alpha1.Rollout{} }, limits(1, 0))
		return pods
	}
	play(t, R2, map[string]scene{
		"with evidence":    {play: func(s *script) { pods := open(s); crashed(s, pods[0]); s.rules(pods, restarts) }},
		"without evidence": {breaks: R2, play: func(s *script) { s.rules(open(s), restarts) }},
		"by another cause": {breaks: R2, play: func(s *script) {
			pods := open(s)
			crashed(s, pods[0])
			s.rules(pods, `{"uid":"uid-r","reason":"ImageMissing"}`)
		}},
		"too early":         {breaks: R2, play: func(s *script) { s.rules(open(s), `{"uid":"uid-r","reason":"NotAvailable"}`) }},
		"aborted":           {play: func(s *script) { s.rules(open(s), `{"uid":"uid-r","reason":"Aborted","returns":true,"aborted":"x"}`) }},
		"of another record": {play: func(s *script) { s.rules(open(s), `{"uid":"other","reason":"ContainerRestarts"}`) }},
		"removed by a retry": {play: func(s *script) {
			pods := open(s)
			crashed(s, pods[0])
			s.rules(pods, restarts, `{"uid":"uid-r","retried":"x/1"}`)
		}},
		"removed by nobody": {breaks: R2, play: func(s *script) { pods := open(s); crashed(s, pods[0]); s.rules(pods, restarts, `{"uid":"uid-r"}`) }},
		"an abort acts twice": {breaks: R2, play: func(s *script) {
			s.rules(open(s), `{"uid":"uid-r","reason":"Aborted","aborted":"x"}`, `{"uid":"uid-r","aborted":"x","retried":"x/1"}`, `{"uid":"uid-r","reason":"Aborted","aborted":"x","retried":"x/1"}`)
		}},
		"a retry acts twice": {breaks: R2, play: func(s *script) {
			s.rules(open(s), `{"uid":"uid-r","retried":"x/2"}`, `{"uid":"uid-r","retried":"x/1"}`)
		}},
	})
}
