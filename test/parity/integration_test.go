package parity

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// EVERYNODE_PARITY=builtin lets kube-controller-manager serve the apps/v1 DaemonSets of the
// lab, which verifies the tests themselves.
var builtin = os.Getenv("EVERYNODE_PARITY") == "builtin"

// The assertions of upstream's integration tests (k8s.io/kubernetes test/integration/daemonset),
// on a lab that serves both kinds of workload. Each test has its own daemons, one for every
// kind and strategy, and its own nodes, which these share.
func TestIntegration(t *testing.T) {
	options := lab.Options{Workloads: lab.WorkloadsBoth}
	if builtin {
		options.Workloads = lab.WorkloadsEverynode
	}
	cluster := labtest.Start(t, options)
	if !builtin { // upstream's surge pods are not marked
		witness := cluster.Watch()
		defer func() { cluster.Verdict(witness, 100) }()
	}
	for _, test := range []struct {
		as, name string
		run      func(*trial)
	}{
		{"one", "a node that joins gets a pod", oneNode},
		{"five", "every node gets a pod", fiveNodes},
		{"finished", "a finished pod is replaced", terminalPhase},
		{"terms", "terms of affinity are ORed", nodeSelector},
		{"notready", "a node that is not ready gets a pod", notReadyNode},
		{"room", "a pod without room waits for it", insufficientCapacity},
		{"tainted", "taints keep pods away, let them stay, or evict them", taintedNode},
		{"cordoned", "cordoned nodes and nodes without network get a pod", unschedulableNode},
		{"quota", "the status counts existing pods when pods are refused", podCreationFailure},
		{"zones", "new tolerations move the pods", rollingUpdateWithTolerations},
		{"surge", "while surging, a deleted pod's successor does not wait until it is gone", surgeBesideDeleted},
		{"collision", "a collision with another template's record is resolved", hashCollision},
		{"duplicate", "two records of one template become one", duplicateHistories},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&trial{Cluster: cluster.With(t), name: test.as}) })
	}
}

// trial is one test's share of the lab.
type trial struct {
	*labtest.Cluster
	name  string // of its daemons, with a suffix, and of its nodes
	nodes int
}

// variants are the kinds and strategies that each test covers.
var variants = []struct {
	name     string
	kind     schema.GroupVersionKind
	strategy v1alpha1.DaemonSetUpdateStrategy
}{
	{"ours-rolling", labtest.Everynode, rolling("1", "0")},
	{"ours-ondelete", labtest.Everynode, v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}},
	{"apps-rolling", labtest.Apps, rolling("1", "0")},
	{"apps-ondelete", labtest.Apps, v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}},
}

func rolling(unavailable, surge string) v1alpha1.DaemonSetUpdateStrategy {
	maxUnavailable, maxSurge := intstr.Parse(unavailable), intstr.Parse(surge)
	return v1alpha1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable, MaxSurge: &maxSurge},
	}
}

// subject is a workload in its own subtest.
type subject struct {
	*labtest.Cluster
	*labtest.Workload
}

// daemons creates one workload of each variant, restricted to the trial's nodes.
func (t *trial) daemons(mutators ...func(*v1alpha1.DaemonSet)) []*labtest.Workload {
	t.T.Helper()
	var workloads []*labtest.Workload
	for _, variant := range variants {
		workloads = append(workloads, t.daemon(variant.kind, variant.name, variant.strategy, mutators...))
	}
	return workloads
}

func (t *trial) daemon(kind schema.GroupVersionKind, suffix string, strategy v1alpha1.DaemonSetUpdateStrategy, mutators ...func(*v1alpha1.DaemonSet)) *labtest.Workload {
	t.T.Helper()
	set := labtest.DaemonSet(t.name+"-"+suffix, mutators...)
	set.Spec.UpdateStrategy = strategy
	set.Spec.Template.Spec.NodeSelector = map[string]string{"role": t.name}
	return t.MakeWorkload(kind, set)
}

// each checks every workload in its own subtest, so that one failure does not hide others.
func (t *trial) each(what string, workloads []*labtest.Workload, check func(*subject)) {
	for _, w := range workloads {
		t.T.(*testing.T).Run(what+"/"+w.Name, func(tt *testing.T) { check(&subject{t.With(tt), w}) })
	}
}

// node adds a node of the trial, ready or not, and returns its name.
func (t *trial) node(mutators ...func(*corev1.Node)) string {
	t.T.Helper()
	t.nodes++
	name := fmt.Sprintf("%s-%d", t.name, t.nodes)
	_, err := t.AddNode(t.T.Context(), name, func(node *corev1.Node) {
		node.Labels["role"] = t.name
		for _, mutate := range mutators {
			mutate(node)
		}
	})
	t.Must(err)
	return name
}

// readyNodes adds ready nodes.
func (t *trial) readyNodes(count int, mutators ...func(*corev1.Node)) []string {
	t.T.Helper()
	var names []string
	for range count {
		names = append(names, t.node(mutators...))
	}
	t.Must(t.WaitForNodes(t.T.Context(), names...))
	return names
}

// runsOn waits until a workload has one ready pod on each of the nodes and no other, and its
// status reports it.
func (s *subject) runsOn(nodes ...string) map[string]corev1.Pod {
	s.T.Helper()
	pods := s.WaitForPods(s.Workload, nodes...)
	s.WaitForWorkload(s.Workload, fmt.Sprintf("%d ready", len(nodes)), func(status *v1alpha1.DaemonSetStatus) bool {
		return int(status.NumberReady) == len(nodes) && int(status.CurrentNumberScheduled) == len(nodes)
	})
	return pods
}

// look triggers a sync of a workload by a change, as upstream's controller needs.
func (s *subject) look() {
	s.T.Helper()
	s.ChangeWorkload(s.Workload, func(set *v1alpha1.DaemonSet) {
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, "parity", set.ResourceVersion) // another value each time
	})
}

func oneNode(t *trial) {
	daemons := t.daemons()
	nodes := t.readyNodes(1)
	t.each("runs", daemons, func(s *subject) {
		pod := s.runsOn(nodes...)[nodes[0]]
		if owner := metav1.GetControllerOf(&pod); owner.Kind != "DaemonSet" || owner.APIVersion != s.Kind.GroupVersion().String() || len(pod.OwnerReferences) != 1 {
			s.T.Errorf("the pod's owners are %+v", pod.OwnerReferences)
		}
	})
}

func fiveNodes(t *trial) {
	daemons := t.daemons()
	nodes := t.readyNodes(5)
	t.each("runs", daemons, func(s *subject) { s.runsOn(nodes...) })
}

// A finished pod is deleted and replaced, also while a finalizer holds it.
func terminalPhase(t *trial) {
	nodes := t.readyNodes(3)
	const finalizer = "everynode.dev/parity"
	finish := func(s *subject, pod *corev1.Pod, phase corev1.PodPhase) {
		pod.Status.Phase = phase
		s.Must(s.Cluster.Status().Update(s.T.Context(), pod))
	}
	t.each("restarts", t.daemons(), func(s *subject) {
		pods := s.runsOn(nodes...)
		succeeded, failed, held := pods[nodes[0]], pods[nodes[1]], pods[nodes[2]]
		finish(s, &succeeded, corev1.PodSucceeded)
		finish(s, &failed, corev1.PodFailed)
		seen := held.DeepCopy()
		held.Finalizers = append(held.Finalizers, finalizer)
		s.Must(s.Patch(s.T.Context(), &held, client.MergeFrom(seen)))
		finish(s, &held, corev1.PodSucceeded)

		s.Eventually("the held pod is terminating, and the others are replaced", func(ctx context.Context) (string, error) {
			found, err := s.PodsOf(ctx, s.Workload)
			if err != nil {
				return "", err
			}
			live, ending := map[string]bool{}, 0
			for i := range found {
				switch pod := &found[i]; {
				case pod.UID == held.UID && pod.DeletionTimestamp != nil:
					ending++
				case pod.UID == succeeded.UID, pod.UID == failed.UID:
					return "pod " + pod.Name + " exists", nil
				case lab.PodReady(pod) && pod.DeletionTimestamp == nil:
					live[pod.Spec.NodeName] = true
				}
			}
			if ending != 1 || !live[nodes[0]] || !live[nodes[1]] || !live[nodes[2]] {
				return fmt.Sprintf("%d terminating, ready on %v", ending, live), nil
			}
			return "", nil
		})
		why := "" // upstream's event has no reason
		if s.Kind == labtest.Everynode {
			why = "the pod has finished"
		}
		s.WaitForEvent(&s.DaemonSet, "SuccessfulDelete", why)
		s.Must(s.Get(s.T.Context(), client.ObjectKeyFromObject(&held), &held))
		seen = held.DeepCopy()
		held.Finalizers = nil
		s.Must(s.Patch(s.T.Context(), &held, client.MergeFrom(seen)))
		s.runsOn(nodes...)
	})
}

func nodeSelector(t *trial) {
	nodes := t.readyNodes(2)
	zone := t.readyNodes(2, func(node *corev1.Node) { node.Labels["zone"] = "test" })
	either := func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"test"}}}},
				{MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: nodes[1:]}}},
			}},
		}}
	}
	t.each("runs", t.daemons(either), func(s *subject) { s.runsOn(append(zone, nodes[1])...) })
}

// Upstream's test has a node without taints. In a cluster a node that is not ready has them:
// the daemon has to tolerate NoSchedule to start there, and tolerates NoExecute in any case.
func notReadyNode(t *trial) {
	node := t.node(func(node *corev1.Node) {
		node.Annotations = map[string]string{lab.NotReadyAnnotation: "true"}
		node.Status.Conditions[0].Status = corev1.ConditionFalse
	})
	t.waitForTaints(node, corev1.TaintNodeNotReady)
	daemons := t.daemons(func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	})
	t.each("runs", daemons, func(s *subject) {
		s.Eventually("its pod runs", func(ctx context.Context) (string, error) {
			pods, err := s.PodsOf(ctx, s.Workload)
			if err != nil || len(pods) != 1 {
				return fmt.Sprintf("%d pods", len(pods)), err
			}
			if pods[0].Spec.NodeName != node || pods[0].Status.Phase != corev1.PodRunning {
				return string(pods[0].Status.Phase), nil
			}
			return "", nil
		})
		s.WaitForWorkload(s.Workload, "one pod", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.DesiredNumberScheduled == 1 && status.CurrentNumberScheduled == 1
		})
	})
}

// waitForTaints waits until a node has taints, which kube-controller-manager derives from conditions.
func (t *trial) waitForTaints(node string, keys ...string) {
	t.T.Helper()
	t.Eventually("node "+node+" is tainted", func(ctx context.Context) (string, error) {
		found, err := t.Lab.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		have := map[string]bool{}
		for _, taint := range found.Spec.Taints {
			have[taint.Key] = true
		}
		for _, key := range keys {
			if !have[key] {
				return "no taint " + key, nil
			}
		}
		return "", nil
	})
}

// A pod is created for every node, and the scheduler binds those that fit.
func insufficientCapacity(t *trial) {
	room := func(memory string) func(*corev1.Node) {
		return func(node *corev1.Node) {
			node.Status.Allocatable[corev1.ResourceMemory] = resource.MustParse(memory)
		}
	}
	small := t.readyNodes(1, room("100M"))[0]
	daemons := t.daemons(func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("75m"), corev1.ResourceMemory: resource.MustParse("120M"),
		}
	})
	waits := func(s *subject, ready int) {
		s.T.Helper()
		s.Eventually("its pod waits for room", func(ctx context.Context) (string, error) {
			pods, err := s.PodsOf(ctx, s.Workload)
			if err != nil {
				return "", err
			}
			for i := range pods {
				if target, _ := daemon.Target(&pods[i]); target == small && pods[i].Spec.NodeName == "" && unschedulable(&pods[i], "insufficient memory") {
					return "", nil
				}
			}
			return fmt.Sprintf("none of %d pods", len(pods)), nil
		})
		s.WaitForWorkload(s.Workload, "one pod waits", func(status *v1alpha1.DaemonSetStatus) bool {
			return int(status.CurrentNumberScheduled) == ready+1 && int(status.NumberReady) == ready
		})
	}
	t.each("waits", daemons, func(s *subject) { waits(s, 0) })
	t.readyNodes(1, room("600M")) // for all four
	t.each("runs where it fits", daemons, func(s *subject) { waits(s, 1) })
}

func unschedulable(pod *corev1.Pod, text string) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			return condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable && strings.Contains(strings.ToLower(condition.Message), text) // upstream begins with a capital
		}
	}
	return false
}

func taintedNode(t *trial) {
	busy := corev1.Taint{Key: "busy", Value: "yes", Effect: corev1.TaintEffectNoSchedule}
	daemons := t.daemons()
	closed := t.readyNodes(1, func(node *corev1.Node) { node.Spec.Taints = []corev1.Taint{busy} })[0]
	open := t.readyNodes(1)[0]
	t.each("keeps away", daemons, func(s *subject) { s.runsOn(open) })

	t.Must(t.UntaintNode(t.T.Context(), closed, busy))
	before := map[string]corev1.Pod{}
	t.each("is created when the taint is removed", daemons, func(s *subject) { before[s.Name] = s.runsOn(open, closed)[closed] })

	t.Must(t.TaintNode(t.T.Context(), closed, busy))
	t.each("stays when the taint is added", daemons, func(s *subject) {
		s.look() // upstream does not by itself when nothing has to be created or deleted
		s.WaitForWorkload(s.Workload, "one misplaced pod", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.DesiredNumberScheduled == 1 && status.NumberMisscheduled == 1
		})
		pod := s.WaitForPods(s.Workload, open, closed)[closed]
		if pod.UID != before[s.Name].UID {
			s.T.Errorf("pod %s was replaced", pod.Name)
		}
		// It may stay, but must not be restarted.
		s.Must(s.Delete(s.T.Context(), &pod))
		s.runsOn(open)
	})
	t.Must(t.TaintNode(t.T.Context(), open, corev1.Taint{Key: "drain", Effect: corev1.TaintEffectNoExecute}))
	t.each("ends", daemons, func(s *subject) { s.runsOn() })
}

func unschedulableNode(t *trial) {
	cordoned := t.node(func(node *corev1.Node) { node.Spec.Unschedulable = true })
	isolated := t.node(func(node *corev1.Node) {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRoute"})
	})
	t.Must(t.WaitForNodes(t.T.Context(), cordoned, isolated))
	t.waitForTaints(cordoned, corev1.TaintNodeUnschedulable)
	t.waitForTaints(isolated, corev1.TaintNodeNetworkUnavailable)
	daemons := t.daemons(func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.HostNetwork = true })
	t.each("runs", daemons, func(s *subject) { s.runsOn(cordoned, isolated) })
}

// A quota admits two pods of three.
func podCreationFailure(t *trial) {
	t.readyNodes(3)
	var daemons []*labtest.Workload
	for _, variant := range variants {
		namespace := t.name + "-" + variant.name
		t.quota(namespace, 2)
		daemons = append(daemons, t.daemon(variant.kind, variant.name, variant.strategy, func(set *v1alpha1.DaemonSet) { set.Namespace = namespace }))
	}
	t.each("is told", daemons, func(s *subject) {
		s.WaitForWorkload(s.Workload, "two of three", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.DesiredNumberScheduled == 3 && status.CurrentNumberScheduled == 2 && status.NumberReady == 2
		})
		s.WaitForEvent(&s.DaemonSet, "FailedCreate", "exceeded quota")
	})
}

// quota creates a namespace that admits a number of pods.
func (t *trial) quota(namespace string, pods int64) {
	t.T.Helper()
	t.Must(t.Create(t.T.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}},
	}
	t.Must(t.Create(t.T.Context(), quota))
	t.Eventually("the quota of "+namespace+" has its status, and its service account exists", func(ctx context.Context) (string, error) {
		if err := t.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || len(quota.Status.Hard) == 0 {
			return "not counted", err
		}
		return "", t.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
}
