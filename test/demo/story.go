package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

// The daemons of examples/, and the label that the storage agent requires.
const (
	logs, metrics, storage = "log-collector", "metrics-exporter", "storage-agent"
	inventory              = "inventory-agent"
	storageLabel           = "example.com/storage"
)

// The nodes of the story.
var (
	n0, n1, n2, n3 = lab.NodeName(0), lab.NodeName(1), lab.NodeName(2), lab.NodeName(3)
	joined         = "joined-later"
	fullOfLow      = "full-of-low"
	fullOfHigh     = "full-of-high"
)

func story(s *stage) []step {
	return []step{
		s.applied(), s.scheduled(), s.nodeJoins(), s.nodeRelabelled(),
		s.preempts(), s.secondPod(), s.excessRemoved(), s.deleted(), s.orphaned(),
	}
}

// together runs several functions, one after the other, up to the first that fails.
func together(tasks ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, task := range tasks {
			if err := task(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *stage) applied() step {
	return step{
		title: "Three daemons are applied while the scheduler is down: their pods wait, pinned by admission",
		did: []string{
			"everynode-scheduler is stopped, so that the Pending pods can be examined",
			"kubectl label node " + n0 + " " + storageLabel + "=ssd",
			"kubectl apply -f examples/   (a log collector, a metrics exporter, a storage agent)",
		},
		act: together(
			s.Component(lab.EverynodeScheduler).Stop,
			s.kubectl("label", "node", n0, storageLabel+"=ssd"),
			s.kubectl("apply", "-f", "examples/"),
		),
		expect: []expectation{
			s.pendingAndPinned(logs, nodes), s.pendingAndPinned(metrics, nodes), s.pendingAndPinned(storage, 1),
			s.counts(logs, nodes, 0),
		},
	}
}

// pendingAndPinned expects stored pods without nodeName and without our gate, each pinned to one node by
// admission.
func (s *stage) pendingAndPinned(name string, want int) expectation {
	text := fmt.Sprintf("%s: %d Pending, no nodeName, gate gone, affinity metadata.name In [its node]", name, want)
	return expectation{text, func(ctx context.Context) (string, bool, error) {
		pods, err := s.podsOf(ctx, name)
		if err != nil {
			return "", false, err
		}
		for node, pod := range pods {
			placedBy := pod.Annotations[v1alpha1.PlacedByAnnotation]
			if pod.Status.Phase != corev1.PodPending || pod.Spec.NodeName != "" || len(pod.Spec.SchedulingGates) > 0 || node == "" || placedBy != v1alpha1.PlacedByWebhook {
				return fmt.Sprintf("pod %s: %s, nodeName %q, gates %v, pinned to %q by %q", pod.Name, pod.Status.Phase, pod.Spec.NodeName, pod.Spec.SchedulingGates, node, placedBy), false, nil
			}
		}
		return fmt.Sprintf("%d Pending, each pinned to its node by the webhook", len(pods)), len(pods) == want, nil
	}}
}

func (s *stage) scheduled() step {
	return step{
		title:  "The scheduler starts: every pod is bound to its node and runs",
		did:    []string{"everynode-scheduler is started"},
		act:    s.Component(lab.EverynodeScheduler).Restart,
		expect: []expectation{s.runsOn(logs, n0, n1, n2, n3), s.runsOn(metrics, n0, n1, n2, n3), s.runsOn(storage, n0), s.counts(logs, nodes, nodes)},
	}
}

func (s *stage) nodeJoins() step {
	return step{
		title: "A node joins and gets its pods",
		did:   []string{"node " + joined + " is added, with the label " + storageLabel + "=ssd"},
		act: func(ctx context.Context) error {
			_, err := s.AddNode(ctx, joined, func(node *corev1.Node) { node.Labels[storageLabel] = "ssd" })
			return err
		},
		expect: []expectation{s.runsOn(logs, n0, n1, n2, n3, joined), s.runsOn(metrics, n0, n1, n2, n3, joined), s.runsOn(storage, n0, joined)},
	}
}

func (s *stage) nodeRelabelled() step {
	return step{
		title:  "A node is relabelled and loses one of its pods",
		did:    []string{"kubectl label node " + n0 + " " + storageLabel + "=hdd --overwrite"},
		act:    s.kubectl("label", "node", n0, storageLabel+"=hdd", "--overwrite"),
		expect: []expectation{s.runsOn(storage, joined), s.runsOn(logs, n0, n1, n2, n3, joined), s.counts(storage, 1, 1)},
	}
}

// The priorities of the fifth step.
const (
	lowClass, daemonClass, highClass = "batch-low", "daemon", "batch-high"
	roleLabel                        = "example.com/inventory"
)

func (s *stage) preempts() step {
	return step{
		title: "Two full nodes: a daemon preempts lower priority, and waits for higher",
		did: []string{
			"nodes " + fullOfLow + " and " + fullOfHigh + " are added and filled with pods of priority 10 and 1000",
			"DaemonSet " + inventory + " of priority 100 is created for these two nodes; it needs 1 CPU",
		},
		act: together(s.fillNodes, s.makeInventory),
		expect: []expectation{
			s.preempted(),
			s.waitsOn(inventory, fullOfHigh, "insufficient cpu"),
			s.fillers(fullOfHigh, "no pod of "+fullOfHigh+" had to go", func(left, filled int) bool { return left == filled }),
			s.fillers(fullOfLow, "only as many of "+fullOfLow+" went as 1 CPU takes", func(left, filled int) bool { return left == filled-2 }),
		},
	}
}

const (
	fillersEach = 7
	fillerCPU   = "500m"
)

// fillNodes fills two nodes: a filler takes half a CPU, and existing daemons take some of the last half.
func (s *stage) fillNodes(ctx context.Context) error {
	for class, value := range map[string]int32{lowClass: 10, daemonClass: 100, highClass: 1000} {
		if err := s.Client.Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Value: value}); err != nil {
			return err
		}
	}
	for node, class := range map[string]string{fullOfLow: lowClass, fullOfHigh: highClass} {
		if _, err := s.AddNode(ctx, node, func(node *corev1.Node) { node.Labels[roleLabel] = "yes" }); err != nil {
			return err
		}
		for i := range fillersEach {
			if err := s.Client.Create(ctx, filler(node, class, i)); err != nil {
				return err
			}
		}
	}
	if err := s.WaitForNodes(ctx, fullOfLow, fullOfHigh); err != nil {
		return err
	}
	for _, node := range []string{fullOfLow, fullOfHigh} {
		full := s.fillers(node, node+" is full", func(left, filled int) bool { return left == filled })
		if _, err := await(ctx, full); err != nil {
			return err
		}
	}
	return nil
}

// filler returns a pod for kube-scheduler to schedule on a node.
func filler(node, class string, i int) *corev1.Pod {
	no := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("%s-%d", node, i), Labels: map[string]string{"filler": node}},
		Spec: corev1.PodSpec{
			NodeSelector:                  map[string]string{corev1.LabelHostname: node},
			PriorityClassName:             class,
			TerminationGracePeriodSeconds: &no,
			Containers: []corev1.Container{{
				Name: "work", Image: "example.com/work",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(fillerCPU)}},
			}},
		},
	}
}

// fillers expects a number of a node's fillers to run.
func (s *stage) fillers(node, text string, holds func(left, filled int) bool) expectation {
	return expectation{text, func(ctx context.Context) (string, bool, error) {
		var pods corev1.PodList
		if err := s.Client.List(ctx, &pods, client.MatchingLabels{"filler": node}); err != nil {
			return "", false, err
		}
		running := 0
		for i := range pods.Items {
			if lab.PodReady(&pods.Items[i]) && pods.Items[i].DeletionTimestamp == nil {
				running++
			}
		}
		return fmt.Sprintf("%d of %d run", running, fillersEach), holds(running, fillersEach), nil
	}}
}

func (s *stage) makeInventory(ctx context.Context) error {
	app := map[string]string{"app": inventory}
	return s.Client.Create(ctx, &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: inventory},
		Spec: v1alpha1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec: corev1.PodSpec{
					NodeSelector:      map[string]string{roleLabel: "yes"},
					PriorityClassName: daemonClass,
					Containers: []corev1.Container{{
						Name: "agent", Image: "example.com/inventory",
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
					}},
				},
			},
		},
	})
}

func (s *stage) preempted() expectation {
	return expectation{inventory + " runs on " + fullOfLow, func(ctx context.Context) (string, bool, error) {
		pods, err := s.podsOf(ctx, inventory)
		if err != nil {
			return "", false, err
		}
		pod := pods[fullOfLow]
		if !lab.PodReady(&pod) {
			return "it does not run there", false, nil
		}
		return "Running on " + pod.Spec.NodeName + ", by preemption", true, nil
	}}
}

const twin = "second-by-hand"

func (s *stage) secondPod() step {
	return step{
		title: "A node never gets a second pod of a daemon, even with the controller stopped",
		did: []string{
			"everynode-controller is stopped",
			"pod " + twin + " is created manually, as one of " + logs + " for " + n1,
		},
		act: together(s.Component(lab.Controller).Stop, s.makeTwin),
		expect: []expectation{{twin + " stays Pending with the reason", func(ctx context.Context) (string, bool, error) {
			var pod corev1.Pod
			err := s.Client.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: twin}, &pod)
			return string(pod.Status.Phase) + ": " + why(&pod), pod.Status.Phase == corev1.PodPending && strings.Contains(why(&pod), "already has pod"), err
		}}},
	}
}

func (s *stage) makeTwin(ctx context.Context) error {
	var set v1alpha1.DaemonSet
	if err := s.Client.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: logs}, &set); err != nil {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: twin, Labels: set.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&set, v1alpha1.DaemonSetKind)},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Spec.SchedulerName = v1alpha1.SchedulerName
	daemon.Pin(&pod.Spec, n1)
	return s.Client.Create(ctx, pod)
}

func (s *stage) excessRemoved() step {
	return step{
		title: "The controller starts again and removes the excess pod",
		did:   []string{"everynode-controller is started"},
		act:   s.Component(lab.Controller).Restart,
		expect: []expectation{
			s.gone(twin+" is removed as excess", &corev1.Pod{}, twin),
			s.runsOn(logs, n0, n1, n2, n3, joined, fullOfLow, fullOfHigh),
		},
	}
}

func (s *stage) deleted() step {
	return step{
		title:  "Deletion cleans up",
		did:    []string{"kubectl delete nds " + metrics},
		act:    s.kubectl("delete", "nds", metrics),
		expect: []expectation{s.gone(metrics+" is gone", &v1alpha1.DaemonSet{}, metrics), s.runsOn(metrics)},
	}
}

func (s *stage) orphaned() step {
	return step{
		title: "Deletion with orphaning keeps the pods",
		did:   []string{"kubectl delete nds " + storage + " --cascade=orphan"},
		act:   s.kubectl("delete", "nds", storage, "--cascade=orphan"),
		expect: []expectation{
			s.gone(storage+" is gone", &v1alpha1.DaemonSet{}, storage),
			s.runsOn(storage, joined),
			{"its pod has no owner", func(ctx context.Context) (string, bool, error) {
				pods, err := s.podsOf(ctx, storage)
				if err != nil {
					return "", false, err
				}
				pod, found := pods[joined]
				if !found {
					return "", false, errors.New("there is no pod on " + joined)
				}
				return fmt.Sprintf("%s has %d owners", pod.Name, len(pod.OwnerReferences)), len(pod.OwnerReferences) == 0, nil
			}},
		},
	}
}
