package e2e

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/kind"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const system = "kube-system"

// primary installs everynode-scheduler in place of kube-scheduler.
var primary = kind.Values{"scheduler": kind.Values{"install": "primary"}}

// TestTakeover runs Everynode in place of the built-in DaemonSet controller, which never ran, and of
// kube-scheduler. It begins in a cluster without a network.
func TestTakeover(t *testing.T) {
	shape := kind.Shapes["takeover"]
	s := newStage(t, "takeover", shape)
	witness := s.Watch()
	if !s.run("install", func(s *stage) { bootstrap(s, shape.Values) }) {
		return
	}
	s.run("network", networkIsOurs)
	s.run("rollout", rollout(labtest.Apps, 1, 0))
	s.run("surge", rollout(labtest.Apps, 0, 1))
	s.run("preemption", preemption(labtest.Apps, true))
	s.run("drain", drain)
	s.run("upgrade", func(s *stage) {
		stands := serving(standing)
		s.Make(stands)
		s.WaitForPods(stands, s.workers...)
		upgrade(stands, shape.Values.With(primary).With(next))(s)
	})
	s.Verdict(witness, len(s.workers))
}

// bootstrap installs Everynode in a cluster without ready nodes and without another component that places the network's daemons,
// and replaces kube-scheduler. Then all nodes become ready.
func bootstrap(s *stage, values kind.Values) {
	var nodes corev1.NodeList
	s.Must(s.List(s.T.Context(), &nodes))
	for i := range nodes.Items {
		if nodeReady(&nodes.Items[i]) == "" {
			s.T.Fatalf("node %s is ready although there is no network yet", nodes.Items[i].Name)
		}
	}
	if sets, pods := s.nativeDaemons(s.T.Context()); len(sets) < 2 || len(pods) > 0 {
		s.T.Fatalf("there are %d native DaemonSets and %d pods of them; want kube-proxy's and the network's, and no pod", len(sets), len(pods))
	}
	s.Must(s.kind.Install(s.T.Context(), values.With(primary), false))
	s.kubectl("--namespace="+kind.Namespace, "wait", "--for=condition=Available", "deployment/everynode-scheduler", "--timeout="+patience.String())
	s.retireKubeScheduler()
	s.Must(s.kind.AwaitNetwork(s.T.Context()))
	s.everynodeWorks()
}

// retireKubeScheduler removes kube-scheduler as in docs/scheduler.md; everynode-scheduler then acquires its lease.
func (s *stage) retireKubeScheduler() {
	s.T.Helper()
	plane := s.kind.Name + "-control-plane"
	s.onNode(plane, "mv", "/etc/kubernetes/manifests/kube-scheduler.yaml", "/etc/kubernetes/kube-scheduler.yaml")
	s.waitGone(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "kube-scheduler-" + plane}})
}

// nativeDaemons returns the DaemonSets of apps/v1 in kube-system, and their pods.
func (s *stage) nativeDaemons(ctx context.Context) ([]appsv1.DaemonSet, []corev1.Pod) {
	s.T.Helper()
	var sets appsv1.DaemonSetList
	s.Must(s.List(ctx, &sets, client.InNamespace(system)))
	var all []corev1.Pod
	for i := range sets.Items {
		pods, err := s.PodsOf(ctx, &sets.Items[i])
		s.Must(err)
		all = append(all, pods...)
	}
	return sets.Items, all
}

// networkIsOurs verifies that the network's daemons run on every node, created by Everynode and placed by its
// scheduler, and that later pods passed admission.
func networkIsOurs(s *stage) {
	nodes, err := s.kind.Nodes(s.T.Context())
	s.Must(err)
	sets, _ := s.nativeDaemons(s.T.Context())
	for i := range sets {
		for node, pod := range s.WaitForPods(&sets[i], nodes...) {
			if pod.Annotations[v1alpha1.NodeUIDAnnotation] == "" || pod.Spec.SchedulerName != v1alpha1.SchedulerName {
				s.T.Errorf("pod %s on %s was not created by Everynode: scheduler %s, annotations %v", pod.Name, node, pod.Spec.SchedulerName, pod.Annotations)
			}
			if target, _ := daemon.Target(&pod); target != node || !lab.PodReady(&pod) {
				s.T.Errorf("pod %s was created for %s and is on %s", pod.Name, target, node)
			}
		}
	}
	s.Eventually("admission places the native daemons", func(ctx context.Context) (string, error) {
		sets, _ := s.nativeDaemons(ctx)
		for _, set := range sets {
			if !placement(&set) {
				return fmt.Sprintf("%s: %+v", set.Name, set.Status.Conditions), nil
			}
		}
		return "", nil
	})
}

func placement(set *appsv1.DaemonSet) bool {
	for _, condition := range set.Status.Conditions {
		if condition.Type == v1alpha1.ConditionPlacementAdmission {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
