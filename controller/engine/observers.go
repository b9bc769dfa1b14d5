package engine

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// Observer takes what an informer of a kind sees, as the cache keeps it. A function may be nil. After a gap in the watch
// an object that was deleted and created again under its name comes as an update.
type Observer[T any] struct {
	Added   func(T)
	Updated func(former, object T)
	Deleted func(T)
}

// DaemonSets observes DaemonSets of either kind.
func (e *Engine) DaemonSets() Observer[*caches.Set] {
	seen := func(set *caches.Set) {
		if err := e.state.daemonSeen(set.DaemonSet, set.Wrong); err != nil {
			e.log.Info("a DaemonSet cannot be served", "namespace", set.Namespace, "name", set.Name, "kind", set.GVK(), "reason", err.Error())
		}
	}
	gone := func(set *caches.Set) {
		e.state.daemonGone(model.KeyOf(set.DaemonSet))
		e.owners.forget(model.KeyOf(set.DaemonSet))
	}
	return Observer[*caches.Set]{
		Added: seen,
		Updated: func(former, set *caches.Set) {
			if former.UID != set.UID {
				gone(former)
			}
			seen(set)
		},
		Deleted: gone,
	}
}

// Nodes observes nodes. They report every few seconds; what the cache keeps of them rarely changes.
func (e *Engine) Nodes() Observer[*corev1.Node] {
	return Observer[*corev1.Node]{
		Added: e.state.nodeSeen,
		Updated: func(former, node *corev1.Node) {
			switch {
			case !sameNode(former, node):
				e.state.nodeSeen(node)
			case daemon.NodeChanged(former, node, model.NodeReads):
				e.state.nodeFacts(former, node)
			}
		},
		Deleted: func(node *corev1.Node) { e.state.nodeGone(node.Name) },
	}
}

// Pods observes pods.
func (e *Engine) Pods() Observer[*model.Pod] {
	return Observer[*model.Pod]{
		Added: e.state.podIs,
		Updated: func(former, pod *model.Pod) {
			if former.UID != pod.UID {
				e.state.podLeft(former)
			}
			e.state.podIs(pod)
		},
		Deleted: e.state.podLeft,
	}
}

// ControllerRevisions observes everybody's ControllerRevisions: one of somebody else may have a name that we need.
func (e *Engine) ControllerRevisions() Observer[*appsv1.ControllerRevision] {
	return Observer[*appsv1.ControllerRevision]{
		Added:   e.state.revisionSeen,
		Updated: func(_, revision *appsv1.ControllerRevision) { e.state.revisionSeen(revision) },
		Deleted: func(revision *appsv1.ControllerRevision) {
			e.state.revisionGone(revision.Namespace, revision.Name)
		},
	}
}

// PriorityClasses also lets pods be asked for again that were refused because their class did not exist.
func (e *Engine) PriorityClasses() Observer[*schedulingv1.PriorityClass] {
	return Observer[*schedulingv1.PriorityClass]{
		Added: func(class *schedulingv1.PriorityClass) {
			e.state.classSeen(class)
			e.state.tryAgainOfClass(class.Name)
		},
		Updated: func(_, class *schedulingv1.PriorityClass) { e.state.classSeen(class) },
		Deleted: func(class *schedulingv1.PriorityClass) { e.state.classGone(class.Name) },
	}
}

// RuntimeClasses also lets pods be asked for again that were refused because their class did not exist, or for what it was.
func (e *Engine) RuntimeClasses() Observer[*nodev1.RuntimeClass] {
	return Observer[*nodev1.RuntimeClass]{
		Added:   e.state.runtimeClassSeen,
		Updated: func(_, class *nodev1.RuntimeClass) { e.state.runtimeClassSeen(class) },
		Deleted: func(class *nodev1.RuntimeClass) { e.state.runtimeClassGone(class.Name) },
	}
}

// Namespaces lets pods be asked for again when the labels of their namespace change: these decide what Pod Security
// lets in.
func (e *Engine) Namespaces() Observer[*corev1.Namespace] {
	return Observer[*corev1.Namespace]{Updated: func(former, namespace *corev1.Namespace) {
		if !maps.Equal(former.Labels, namespace.Labels) {
			e.state.tryAgainIn(namespace.Name)
		}
	}}
}

// ResourceQuotas lets pods be asked for again when a quota is another one, gone or less used.
func (e *Engine) ResourceQuotas() Observer[*corev1.ResourceQuota] {
	return Observer[*corev1.ResourceQuota]{
		Updated: func(former, quota *corev1.ResourceQuota) {
			if !equality.Semantic.DeepEqual(former.Status.Hard, quota.Status.Hard) {
				e.state.tryAgainIn(quota.Namespace)
				e.state.recordAgain(quota.Namespace)
			}
			if was, is := former.Status.Used[countOfRecords], quota.Status.Used[countOfRecords]; is.Cmp(was) < 0 {
				e.state.recordAgain(quota.Namespace)
			}
			if lessUsed(former.Status.Used, quota.Status.Used) {
				e.state.roomIn(quota.Namespace, quota.Name)
			}
		},
		Deleted: func(quota *corev1.ResourceQuota) {
			e.state.tryAgainIn(quota.Namespace)
			e.state.recordAgain(quota.Namespace)
		},
	}
}

// PodDisruptionBudgets observes budgets. No pod depends on them.
func (e *Engine) PodDisruptionBudgets() Observer[*policyv1.PodDisruptionBudget] {
	return Observer[*policyv1.PodDisruptionBudget]{
		Added:   e.budgets.seen,
		Updated: func(_, budget *policyv1.PodDisruptionBudget) { e.budgets.seen(budget) },
		Deleted: e.budgets.gone,
	}
}

// countOfRecords is what a quota of ControllerRevisions counts.
const countOfRecords corev1.ResourceName = "count/controllerrevisions.apps"

// lessUsed reports whether there is less of anything. More of it is what our own pods make.
func lessUsed(before, now corev1.ResourceList) bool {
	for name, was := range before {
		if is := now[name]; is.Cmp(was) < 0 {
			return true
		}
	}
	return false
}

// sameNode reports whether nothing changed that a verdict could depend on.
func sameNode(a, b *corev1.Node) bool {
	return a.UID == b.UID && equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}
