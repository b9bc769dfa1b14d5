package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/kind"
	"github.com/everynode/everynode/test/labtest"
)

// TestBeside installs Everynode with its webhook beside the built-in components, uses it, and then
// changes the installation while a daemon keeps running.
func TestBeside(t *testing.T) {
	shape := kind.Shapes["beside"]
	s := newStage(t, "beside", shape)
	witness := s.Watch(labtest.Everynode)
	if !s.run("install", byReadme) {
		return
	}
	stands := serving(standing)
	s.Make(stands)

	s.run("webhook", placedBy(v1alpha1.PlacedByWebhook))
	s.run("push", push)
	s.run("host port", hostPort)
	s.run("headless service", headless)
	s.run("service", service)
	s.run("rollout", rollout(labtest.Everynode, 1, 0))
	s.run("surge", rollout(labtest.Everynode, 0, 1))
	s.run("preemption", preemption(labtest.Everynode, false))
	s.run("race", race)
	s.run("drain", drain)
	s.run("node restarts", nodeRestarts)
	s.run("node leaves", nodeLeaves)

	s.run("upgrade", upgrade(stands, shape.Values.With(next)))
	s.run("policy", toPolicy(stands, shape.Values))
	s.run("cert-manager", toCertManager(stands, shape.Values))
	s.run("uninstall", uninstall(stands, shape.Values))
	s.run("install with the policy", firstByPolicy(stands, shape.Values))
	s.run("install with cert-manager", firstByCertManager(stands))
	s.Verdict(witness, len(s.workers))
}

// byReadme installs Everynode with the commands of the README, verbatim.
func byReadme(s *stage) {
	script := s.Commands("../../README.md", "## Install")
	s.T.Cleanup(func() { _, _ = s.kind.Kubectl(context.Background(), "delete", "--filename=examples/", "--wait=false") })
	out, err := s.kind.Shell(s.T.Context(), script)
	s.Must(err)
	nodes, err := s.kind.Nodes(s.T.Context())
	s.Must(err)
	// The images may not be available; the nodes of the pods are visible without them.
	for daemon, wanted := range map[string][]string{"log-collector": nodes, "metrics-exporter": s.workers, "storage-agent": nil} {
		if !strings.Contains(out, "\n"+daemon+" ") {
			s.T.Errorf("the last command does not print the daemon %s:\n%s", daemon, out)
		}
		s.bound(client.ObjectKey{Namespace: "default", Name: daemon}, wanted)
	}
	s.everynodeWorks()
	s.Must(s.kind.AwaitNetwork(s.T.Context()))
}

// bound waits until each of the nodes has a pod of a daemon, and no other node does.
func (s *stage) bound(key client.ObjectKey, nodes []string) {
	s.T.Helper()
	var set v1alpha1.DaemonSet
	s.Must(s.Get(s.T.Context(), key, &set))
	s.Eventually(fmt.Sprintf("%s has a pod on %v", key.Name, nodes), func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, &set)
		var on []string
		for i := range pods {
			on = append(on, pods[i].Spec.NodeName)
		}
		if slices.Sort(on); !slices.Equal(on, slices.Sorted(slices.Values(nodes))) {
			return fmt.Sprintf("pods are on %q", on), err
		}
		return "", err
	})
}

// install installs the chart and waits for all of it, and for the cluster.
func (s *stage) install(values kind.Values) {
	s.T.Helper()
	s.Must(s.kind.Install(s.T.Context(), values, true))
	s.Must(s.kind.AwaitNetwork(s.T.Context()))
}

// placedBy creates a daemon on all workers, and waits until its pods are placed by the expected component.
func placedBy(who string) func(*stage) {
	return func(s *stage) {
		// Shortly after an install the controller may place pods itself, until it knows that admission works.
		s.Eventually("placement is by "+who, func(ctx context.Context) (string, error) {
			probe := serving("placed")
			if err := s.Create(ctx, probe); err != nil {
				return "", err
			}
			pods := s.WaitForPods(probe, s.workers...)
			if err := s.Delete(ctx, probe); err != nil {
				return "", err
			}
			for _, pod := range pods {
				s.waitGone(&pod)
				if by := pod.Annotations[v1alpha1.PlacedByAnnotation]; by != who {
					return fmt.Sprintf("pod %s was placed by %q", pod.Name, by), nil
				}
			}
			return "", nil
		})
	}
}

// undisturbed runs a function, and then verifies that a daemon's pods are the same, that their
// processes were not restarted, and that they answer.
func (s *stage) undisturbed(set *v1alpha1.DaemonSet, happens func()) {
	s.T.Helper()
	before := s.WaitForPods(set, s.workers...)
	happens()
	for node, pod := range s.WaitForPods(set, s.workers...) {
		was := before[node]
		if pod.UID != was.UID || restarts(&pod) != restarts(&was) {
			s.T.Errorf("the pod on %s was disturbed: it is %s (%s, %d restarts), and was %s (%s, %d)", node,
				pod.Name, pod.UID, restarts(&pod), was.Name, was.UID, restarts(&was))
		}
		s.ask(pod.Name)
	}
}

// programs returns the images of the containers of Everynode's pods, sorted.
func (s *stage) programs(ctx context.Context) (map[string]int, error) {
	var pods corev1.PodList
	if err := s.List(ctx, &pods, client.InNamespace(kind.Namespace)); err != nil {
		return nil, err
	}
	images := map[string]int{}
	for _, pod := range pods.Items {
		images[pod.Spec.Containers[0].Image]++
	}
	return images, nil
}
