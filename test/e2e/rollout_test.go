package e2e

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

func intOrString(n int32) intstr.IntOrString { return intstr.FromInt32(n) }

// rolls sets the update strategy.
func rolls(maxUnavailable, maxSurge int32) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{
				MaxUnavailable: new(intOrString(maxUnavailable)), MaxSurge: new(intOrString(maxSurge)),
			},
		}
	}
}

// settling is minReadySeconds. Shortly after a start the kubelet may revert Ready for a moment: a status that is
// not ready triggers a probe, and is written after the probe's result if the probe is faster (k8s.io/kubernetes
// pkg/kubelet: SyncPod, prober UpdatePodStatus, status SetContainerReadiness).
func settling(set *v1alpha1.DaemonSet) { set.Spec.MinReadySeconds = 2 }

// rollout changes the template of a daemon of a kind, and reverts it: never are more nodes than allowed without
// a serving pod, and finally every node serves the requested revision.
func rollout(kind schema.GroupVersionKind, maxUnavailable, maxSurge int32) func(*stage) {
	return func(s *stage) {
		set := s.MakeWorkload(kind, serving("rolling", revised("one"), rolls(maxUnavailable, maxSurge), settling))
		first := s.WaitForPods(set, s.workers...)
		s.wantAnswers(set, "revision=one")
		s.waitRolled(set)
		film := s.film(set.Name)
		s.ChangeWorkload(set, revised("two"))
		s.waitRolled(set)
		s.wantAnswers(set, "revision=two")
		s.rollBack(set)
		s.waitRolled(set)
		s.wantAnswers(set, "revision=one")
		events := film.cut()

		nodes := len(s.workers)
		if least := leastServed(events, nodes); least < nodes-int(maxUnavailable) {
			s.T.Errorf("only %d of %d nodes were served at one time, and maxUnavailable is %d:\n%s", least, nodes, maxUnavailable, story(events))
		}
		if made, want := len(last(events)), 3*nodes; made != want {
			s.T.Errorf("there were %d pods in all, want %d: one for each node and revision", made, want)
		}
		for node, pod := range s.WaitForPods(set, s.workers...) {
			was := first[node]
			if is, want := pod.Labels[appsv1.ControllerRevisionHashLabelKey], was.Labels[appsv1.ControllerRevisionHashLabelKey]; is != want {
				s.T.Errorf("pod %s has revision %s, want %s, the first", pod.Name, is, want)
			}
		}
		revisions, err := s.RevisionsOf(s.T.Context(), set)
		s.Must(err)
		if len(revisions) != 2 {
			s.T.Errorf("there are %d ControllerRevisions, want 2: the first is used again", len(revisions))
		}
	}
}

// rollBack restores the previous template: with kubectl where it knows the kind, else from the
// user's manifest.
func (s *stage) rollBack(set *labtest.Workload) {
	s.T.Helper()
	if set.Kind != labtest.Apps {
		s.ChangeWorkload(set, revised("one"))
		return
	}
	s.kubectl("rollout", "undo", "daemonset/"+set.Name)
	if out := s.kubectl("rollout", "status", "daemonset/"+set.Name, "--timeout="+patience.String()); !strings.Contains(out, "successfully rolled out") {
		s.T.Errorf("kubectl rollout status prints %q", out)
	}
	s.Must(s.ReadWorkload(s.T.Context(), set))
}

func (s *stage) waitRolled(set *labtest.Workload) {
	s.T.Helper()
	nodes := int32(len(s.workers))
	s.WaitForWorkload(set, "the end of the rollout", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == nodes && status.NumberAvailable == nodes && status.CurrentNumberScheduled == nodes
	})
	s.WaitForPods(set, s.workers...) // the old pods are gone
}

// wantAnswers queries every pod of a daemon, and expects a text in its answer.
func (s *stage) wantAnswers(set *labtest.Workload, text string) {
	s.T.Helper()
	for _, pod := range s.WaitForPods(set, s.workers...) {
		if answer := s.ask(pod.Name); !strings.Contains(answer, text) {
			s.T.Errorf("pod %s answers %q, want %q", pod.Name, answer, text)
		}
	}
}

// ask queries a pod at port 8080, through the API server.
func (s *stage) ask(pod string) string {
	s.T.Helper()
	answer, err := s.API.CoreV1().RESTClient().Get().Namespace(labtest.Namespace).Resource("pods").Name(pod + ":8080").SubResource("proxy").DoRaw(s.T.Context())
	s.Must(err)
	return string(answer)
}
