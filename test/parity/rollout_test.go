package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A surge rollout to other tolerations. Nodes that only the new template tolerates get their pod
// at once, nodes that both tolerate surge one by one. On a node that only the old one tolerates,
// the old pod of an apps/v1 DaemonSet is deleted when as many pods are available as nodes want one;
// that of everynode.dev stays, as on any node where no new pod could start, and is misplaced.
func rollingUpdateWithTolerations(t *trial) {
	var nodes []string
	for _, zone := range []string{"zone-y", "zone-z", "zone-common"} {
		nodes = append(nodes, t.readyNodes(2, func(node *corev1.Node) {
			node.Spec.Taints = []corev1.Taint{{Key: zone, Effect: corev1.TaintEffectNoSchedule}}
		})...)
	}
	tolerate := func(zones ...string) func(*v1alpha1.DaemonSet) {
		return func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.Tolerations = nil
			for _, zone := range zones {
				set.Spec.Template.Spec.Tolerations = append(set.Spec.Template.Spec.Tolerations, corev1.Toleration{Key: zone, Operator: corev1.TolerationOpExists})
			}
		}
	}
	daemons := []*labtest.Workload{
		t.daemon(labtest.Everynode, "ours", rolling("0", "1"), tolerate("zone-y", "zone-common")),
		t.daemon(labtest.Apps, "apps", rolling("0", "1"), tolerate("zone-y", "zone-common")),
	}
	t.each("moves", daemons, func(s *subject) {
		s.runsOn(slices.Concat(nodes[:2], nodes[4:])...)

		for _, step := range []struct {
			zones         []string
			wantMeanwhile int // pods, before the new ones are ready
			wantDesired   int
		}{
			{zones: []string{"zone-z", "zone-common"}, wantMeanwhile: 7, wantDesired: 4},
			{zones: []string{"zone-y", "zone-z", "zone-common"}, wantMeanwhile: 7, wantDesired: 6},
			{wantDesired: 0},
		} {
			s.ChangeWorkload(s.Workload, func(set *v1alpha1.DaemonSet) { tolerate(step.zones...)(set); labtest.Gated(set) })
			if step.wantMeanwhile > 0 {
				s.hasPodsBeforeReady(step.wantMeanwhile)
			}
			s.becomeReadyIn(step.zones, step.wantDesired)
			s.WaitForWorkload(s.Workload, "the same", func(status *v1alpha1.DaemonSetStatus) bool {
				return int(status.DesiredNumberScheduled) == step.wantDesired && int(status.UpdatedNumberScheduled) == step.wantDesired &&
					int(status.NumberReady) == step.wantDesired && status.NumberMisscheduled == 0
			})
		}
	})
}

func (s *subject) hasPodsBeforeReady(want int) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d pods exist before the new ones are ready", want), func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, s.Workload)
		if err != nil || len(pods) != want {
			return fmt.Sprintf("there are %d", len(pods)), err
		}
		return "", nil
	})
}

// becomeReadyIn releases the pods until those that tolerate the zones are ready, and no others exist.
func (s *subject) becomeReadyIn(zones []string, want int) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d pods are ready with tolerations %v, and there are no others", want, zones), func(ctx context.Context) (string, error) {
		pods, err := s.Release(ctx, s.Workload)
		if err != nil {
			return "", err
		}
		updated := 0
		for i := range pods {
			if lab.PodReady(&pods[i]) && slices.Equal(zonesOf(&pods[i]), zones) {
				updated++
			}
		}
		if updated != want || len(pods) != want {
			return fmt.Sprintf("%d of %d are", updated, len(pods)), nil
		}
		return "", nil
	})
}

// zonesOf returns the zones that a pod tolerates.
func zonesOf(pod *corev1.Pod) (zones []string) {
	for _, toleration := range pod.Spec.Tolerations {
		if strings.HasPrefix(toleration.Key, "zone-") {
			zones = append(zones, toleration.Key)
		}
	}
	return zones
}

// One node surges, which is the limit. On another one a user deletes the old pod, which terminates
// slowly: the node gets its new pod nevertheless, beside the terminating one.
func surgeBesideDeleted(t *trial) {
	nodes := t.readyNodes(2)
	slow := grace(30)
	daemons := []*labtest.Workload{
		t.daemon(labtest.Everynode, "ours", rolling("0", "1"), slow),
		t.daemon(labtest.Apps, "apps", rolling("0", "1"), slow),
	}
	t.each("does not wait", daemons, func(s *subject) {
		before := s.runsOn(nodes...)
		s.ChangeWorkload(s.Workload, func(set *v1alpha1.DaemonSet) { labtest.Gated(set); set.Spec.Template.Spec.Containers[0].Image += ":2" })
		old := ""
		s.Eventually("one node surges", func(ctx context.Context) (string, error) {
			pods, err := s.PodsOf(ctx, s.Workload)
			if err != nil || len(pods) != 3 {
				return fmt.Sprintf("%d pods", len(pods)), err
			}
			for i := range pods {
				if target, _ := daemon.Target(&pods[i]); pods[i].UID != before[target].UID {
					old = nodes[1-slices.Index(nodes, target)]
				}
			}
			return "", nil
		})
		deleted := before[old]
		s.Must(s.Delete(s.T.Context(), &corev1.Pod{ObjectMeta: deleted.ObjectMeta}))
		s.Eventually("the new pod is ready beside the terminating one", func(ctx context.Context) (string, error) {
			pods, err := s.Release(ctx, s.Workload)
			if err != nil {
				return "", err
			}
			ends, runs := false, false
			for i := range pods {
				pod := &pods[i]
				ends = ends || pod.UID == deleted.UID && pod.DeletionTimestamp != nil
				runs = runs || pod.UID != deleted.UID && pod.Spec.NodeName == old && lab.PodReady(pod)
			}
			if !ends || !runs {
				return fmt.Sprintf("the old one is terminating: %t, the new one runs: %t", ends, runs), nil
			}
			return "", nil
		})
	})
}

// historical creates workloads whose history the test modifies, on one node.
func (t *trial) historical() ([]*labtest.Workload, string) {
	t.T.Helper()
	node := t.readyNodes(1)[0]
	return []*labtest.Workload{
		t.daemon(labtest.Apps, "apps", rolling("1", "0")),
		t.daemon(labtest.Everynode, "ours", rolling("1", "0")),
	}, node
}

// recorded waits until the highest of a workload's ControllerRevisions has a number and holds its template.
func (s *subject) recorded(number int64) *appsv1.ControllerRevision {
	s.T.Helper()
	var current appsv1.ControllerRevision
	s.Eventually(fmt.Sprintf("the template of %s is recorded as number %d", s.Name, number), func(ctx context.Context) (string, error) {
		found, err := s.RevisionsOf(ctx, s.Workload)
		if err != nil || len(found) == 0 {
			return "no ControllerRevision", err
		}
		current = found[len(found)-1]
		if current.Revision != number || !holds(&current, &s.Spec.Template) {
			return fmt.Sprintf("the highest number is %d: %s", current.Revision, current.Data.Raw), nil
		}
		return "", nil
	})
	return &current
}

// holds reports whether a ControllerRevision is that of a template, which is identified by its grace period.
func holds(object *appsv1.ControllerRevision, template *corev1.PodTemplateSpec) bool {
	return bytes.Contains(object.Data.Raw, fmt.Appendf(nil, `"terminationGracePeriodSeconds":%d`, *template.Spec.TerminationGracePeriodSeconds))
}

func grace(seconds int64) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.TerminationGracePeriodSeconds = &seconds }
}

// The name that a template's record must have belongs to another template's record. Only the controller
// knows how names are derived, so the test obtains one by applying the template and reverting it.
func hashCollision(t *trial) {
	daemons, node := t.historical()
	t.each("goes on", daemons, func(s *subject) {
		first := s.recorded(1)
		s.ChangeWorkload(s.Workload, grace(1))
		taken := s.recorded(2)
		s.ChangeWorkload(s.Workload, grace(0))
		s.recorded(3)
		s.waitForGrace(node, 0)
		s.Must(s.Delete(s.T.Context(), taken))

		forged := taken.DeepCopy()
		forged.ObjectMeta = metav1.ObjectMeta{Namespace: taken.Namespace, Name: taken.Name, Labels: taken.Labels, OwnerReferences: taken.OwnerReferences}
		forged.Data.Raw = bytes.Replace(first.Data.Raw, []byte(`"terminationGracePeriodSeconds":0`), []byte(`"terminationGracePeriodSeconds":7`), 1)
		s.Must(s.Create(s.T.Context(), forged))
		s.Must(s.ReadWorkload(s.T.Context(), s.Workload))
		collisions := collisionsOf(s.Workload)

		s.ChangeWorkload(s.Workload, grace(1))
		pod := s.waitForGrace(node, 1)
		current := s.recorded(4)
		if current.Name == forged.Name || pod.Labels[appsv1.ControllerRevisionHashLabelKey] != current.Labels[appsv1.ControllerRevisionHashLabelKey] {
			s.T.Errorf("the template is recorded as %s with labels %v, the pod has labels %v", current.Name, current.Labels, pod.Labels)
		}
		s.WaitForWorkload(s.Workload, "one more collision", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.UpdatedNumberScheduled == 1 && collisionsOf(s.Workload) == collisions+1
		})
	})
}

func collisionsOf(w *labtest.Workload) int32 {
	if w.Status.CollisionCount == nil {
		return 0
	}
	return *w.Status.CollisionCount
}

// waitForGrace waits until the pod on a node has the template with that grace period.
func (s *subject) waitForGrace(node string, seconds int64) corev1.Pod {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("the pod of %s has a grace period of %d s", s.Name, seconds), func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, s.Workload)
		if err != nil || len(pods) != 1 || *pods[0].Spec.TerminationGracePeriodSeconds != seconds {
			return fmt.Sprintf("%d pods", len(pods)), err
		}
		return "", nil
	})
	return s.WaitForPods(s.Workload, node)[node]
}

// A second record of the current template exists, with a higher number: it is
// kept, and the pod gets its label, without a restart.
func duplicateHistories(t *trial) {
	daemons, node := t.historical()
	t.each("are one", daemons, func(s *subject) {
		first := s.recorded(1)
		before := s.runsOn(node)[node]
		second := first.DeepCopy()
		second.ObjectMeta = metav1.ObjectMeta{Namespace: first.Namespace, Name: s.Name + "-second", Labels: first.Labels, OwnerReferences: first.OwnerReferences}
		second.Labels[appsv1.ControllerRevisionHashLabelKey] = "second"
		second.Revision++
		s.Must(s.Create(s.T.Context(), second))

		s.Eventually("only the second record is left", func(ctx context.Context) (string, error) {
			s.look() // repeatedly: DaemonSets and records arrive by two watches, and a sync may overtake the record
			found, err := s.RevisionsOf(ctx, s.Workload)
			if err != nil || len(found) != 1 || found[0].Name != second.Name {
				names, _ := json.Marshal(found)
				return string(names), err
			}
			return "", nil
		})
		after := s.runsOn(node)[node]
		if after.UID != before.UID || after.Labels[appsv1.ControllerRevisionHashLabelKey] != "second" {
			s.T.Errorf("the pod is %s with labels %v, want %s relabelled", after.UID, after.Labels, before.UID)
		}
	})
}
