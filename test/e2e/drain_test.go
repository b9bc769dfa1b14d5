package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// drain tests docs/drain.md: kubectl drain ignores native daemons, whichever controller serves them. A
// pod of an everynode.dev daemon is evicted like any other pod and recreated at once, because daemons tolerate cordoned nodes;
// --pod-selector excludes it too. Ordinary pods are evicted, and return after uncordon.
func drain(s *stage) {
	node := s.workers[1]
	s.cleared() // drain refuses to evict pods without a controller
	ours := s.MakeWorkload(labtest.Everynode, serving("ours"))
	native := s.MakeWorkload(labtest.Apps, serving("native"))
	guest := s.guest(node)
	s.Make(guest)
	oursBefore, nativeBefore := s.WaitForPods(ours, s.workers...), s.WaitForPods(native, s.workers...)
	guestBefore := s.runningOf(guest.Name)

	drained := s.drain(node)
	s.T.Cleanup(func() { _, _ = s.kind.Kubectl(context.Background(), "uncordon", node) })
	if name := nativeBefore[node].Name; !strings.Contains(drained, "ignoring DaemonSet-managed Pods") || !strings.Contains(drained, name) {
		s.T.Errorf("kubectl drain does not report that it ignores pod %s:\n%s", name, drained)
	}
	oursAfter := s.WaitForPods(ours, s.workers...)
	if oursAfter[node].UID == oursBefore[node].UID {
		s.T.Errorf("the pod of an everynode.dev daemon was not evicted, as docs/drain.md states")
	}
	if nativeAfter := s.WaitForPods(native, s.workers...); nativeAfter[node].UID != nativeBefore[node].UID {
		s.T.Errorf("the pod of a native daemon was replaced")
	}
	s.waitGone(&guestBefore)

	late := s.MakeWorkload(labtest.Everynode, serving("late"))
	s.WaitForPods(late, s.workers...) // a cordoned node gets new daemons too
	s.drain(node, "--pod-selector=app notin (ours, late)")
	if again := s.WaitForPods(ours, s.workers...); again[node].UID != oursAfter[node].UID {
		s.T.Errorf("the pod of a daemon that --pod-selector excludes was evicted")
	}

	s.kubectl("uncordon", node)
	s.runningOf(guest.Name)
	if open := s.WaitForPods(ours, s.workers...); open[node].UID != oursAfter[node].UID {
		s.T.Errorf("uncordon replaced a daemon's pod")
	}
	s.everynodeWorks()
}

// drain drains a node as in docs/drain.md, and returns kubectl's output.
func (s *stage) drain(node string, more ...string) string {
	s.T.Helper()
	return s.kubectl(slices.Concat([]string{"drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=" + patience.String()}, more)...)
}

// guest returns a Deployment with one pod, which can run on only one node.
func (s *stage) guest(node string) *appsv1.Deployment {
	pod := barePod("guest").Spec
	pod.NodeSelector = map[string]string{corev1.LabelHostname: node}
	app := map[string]string{"app": "guest"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: "guest"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: pod},
		},
	}
}

// runningOf waits until an app has one pod, ready, and returns it.
func (s *stage) runningOf(app string) corev1.Pod {
	s.T.Helper()
	var found corev1.Pod
	s.Eventually("the pod of "+app+" is ready", func(ctx context.Context) (string, error) {
		var pods corev1.PodList
		if err := s.List(ctx, &pods, client.InNamespace(labtest.Namespace), client.MatchingLabels{"app": app}); err != nil {
			return "", err
		}
		if len(pods.Items) != 1 || pods.Items[0].DeletionTimestamp != nil || !lab.PodReady(&pods.Items[0]) {
			return fmt.Sprintf("there are %d pods, want one that is ready", len(pods.Items)), nil
		}
		found = pods.Items[0]
		return "", nil
	})
	return found
}
