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

// Observer receives the observations of an informer of a kind, in the form that the cache keeps. A function may be nil. After a gap
// in the watch an object that was deleted and recreated under its name arrives as an update.
type Observer[T any] struct {
	Added   func(T)
	Updated func(former, object T)
	Deleted func(T)
}

// DaemonSets observes DaemonSets of either kind.
func (e *Engine) DaemonSets() Observer[*caches.Set] {
	seen := func(set *caches.Set) {
		work := &model.SeeDaemon{Workload: set.Workload}
		e.state.Run(work)
		if work.News != nil {
			e.log.Info("a DaemonSet cannot be served", "namespace", set.GetNamespace(), "name", set.GetName(), "kind", set.Workload.Kind.GroupVersionKind(), "reason", work.News.Error())
		}
	}
	gone := func(set *caches.Set) {
		key := set.Workload.Key
		e.state.Update(func(u model.Update) { u.ForgetDaemon(key) })
		e.cells.Forget(key)
	}
	return Observer[*caches.Set]{
		Added: seen,
		Updated: func(former, set *caches.Set) {
			if former.GetUID() != set.GetUID() {
				gone(former)
			}
			seen(set)
		},
		Deleted: gone,
	}
}

// Nodes observes nodes. They report every few seconds; the part that the cache keeps rarely changes.
func (e *Engine) Nodes() Observer[*corev1.Node] {
	seen := func(node *corev1.Node) { e.state.Run(&model.SeeNode{Node: node}) }
	return Observer[*corev1.Node]{
		Added: seen,
		Updated: func(former, node *corev1.Node) {
			switch {
			case !sameNode(former, node):
				seen(node)
			case daemon.NodeChanged(former, node, model.NodeReads): // without a change that verdicts depend on
				e.state.Run(&model.SeeNode{Node: node, Before: former})
			}
		},
		Deleted: func(node *corev1.Node) { e.state.Run(&model.ForgetNode{Name: node.Name}) },
	}
}

// Pods observes pods.
func (e *Engine) Pods() Observer[*model.Pod] {
	seen := func(pod *model.Pod) { e.state.Update(func(u model.Update) { u.SeePod(pod) }) }
	gone := func(pod *model.Pod) { e.state.Update(func(u model.Update) { u.ForgetPod(pod) }) }
	return Observer[*model.Pod]{
		Added: seen,
		Updated: func(former, pod *model.Pod) {
			if former.UID != pod.UID {
				gone(former)
			}
			seen(pod)
		},
		Deleted: gone,
	}
}

// ControllerRevisions observes the ControllerRevisions of all owners: another owner's may have a name that a daemon needs.
func (e *Engine) ControllerRevisions() Observer[*appsv1.ControllerRevision] {
	seen := func(revision *appsv1.ControllerRevision) { e.state.Run(&model.SeeRevision{Object: revision}) }
	return Observer[*appsv1.ControllerRevision]{
		Added:   seen,
		Updated: func(_, revision *appsv1.ControllerRevision) { seen(revision) },
		Deleted: func(revision *appsv1.ControllerRevision) {
			e.state.Update(func(u model.Update) { u.ForgetRevision(revision.Namespace, revision.Name) })
		},
	}
}

// PriorityClasses also triggers a retry of pods that were refused because their class did not exist.
func (e *Engine) PriorityClasses() Observer[*schedulingv1.PriorityClass] {
	seen := func(class *schedulingv1.PriorityClass) { e.state.Update(func(u model.Update) { u.SeeClass(class) }) }
	return Observer[*schedulingv1.PriorityClass]{
		Added: func(class *schedulingv1.PriorityClass) {
			seen(class)
			e.state.Update(func(u model.Update) { u.TryAgainOfClass(class.Name) })
		},
		Updated: func(_, class *schedulingv1.PriorityClass) { seen(class) },
		Deleted: func(class *schedulingv1.PriorityClass) {
			e.state.Update(func(u model.Update) { u.ForgetClass(class.Name) })
		},
	}
}

// RuntimeClasses also triggers a retry of pods that were refused because their class did not exist, or because of its content.
func (e *Engine) RuntimeClasses() Observer[*nodev1.RuntimeClass] {
	seen := func(class *nodev1.RuntimeClass) { e.state.Update(func(u model.Update) { u.SeeRuntimeClass(class) }) }
	return Observer[*nodev1.RuntimeClass]{
		Added:   seen,
		Updated: func(_, class *nodev1.RuntimeClass) { seen(class) },
		Deleted: func(class *nodev1.RuntimeClass) {
			e.state.Update(func(u model.Update) { u.ForgetRuntimeClass(class.Name) })
		},
	}
}

// Namespaces triggers a retry of refused pods when the labels of their namespace change: these decide what Pod Security
// permits.
func (e *Engine) Namespaces() Observer[*corev1.Namespace] {
	return Observer[*corev1.Namespace]{Updated: func(former, namespace *corev1.Namespace) {
		if !maps.Equal(former.Labels, namespace.Labels) {
			e.state.Update(func(u model.Update) { u.TryAgainIn(namespace.Name) })
		}
	}}
}

// ResourceQuotas triggers a retry of refused pods when a quota changes, is deleted or is used less.
func (e *Engine) ResourceQuotas() Observer[*corev1.ResourceQuota] {
	tryAgain := func(quota *corev1.ResourceQuota) {
		e.state.Update(func(u model.Update) { u.TryAgainIn(quota.Namespace) })
	}
	recordAgain := func(quota *corev1.ResourceQuota) {
		e.state.Update(func(u model.Update) { u.RecordAgain(quota.Namespace) })
	}
	return Observer[*corev1.ResourceQuota]{
		Updated: func(former, quota *corev1.ResourceQuota) {
			if !equality.Semantic.DeepEqual(former.Status.Hard, quota.Status.Hard) {
				tryAgain(quota)
				recordAgain(quota)
			}
			if was, is := former.Status.Used[countOfRecords], quota.Status.Used[countOfRecords]; is.Cmp(was) < 0 {
				recordAgain(quota)
			}
			if lessUsed(former.Status.Used, quota.Status.Used) {
				e.state.Update(func(u model.Update) { u.RoomIn(quota.Namespace, quota.Name) })
			}
		},
		Deleted: func(quota *corev1.ResourceQuota) {
			tryAgain(quota)
			recordAgain(quota)
		},
	}
}

// PodDisruptionBudgets observes budgets. No pod depends on them.
func (e *Engine) PodDisruptionBudgets() Observer[*policyv1.PodDisruptionBudget] {
	return Observer[*policyv1.PodDisruptionBudget]{
		Added:   e.budgets.See,
		Updated: func(_, budget *policyv1.PodDisruptionBudget) { e.budgets.See(budget) },
		Deleted: e.budgets.Forget,
	}
}

// countOfRecords is the resource by which a quota counts ControllerRevisions.
const countOfRecords corev1.ResourceName = "count/controllerrevisions.apps"

// lessUsed reports whether the use of any resource decreased. The controller's own pods only increase it.
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
