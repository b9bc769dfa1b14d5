package simulation

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
)

const revisionLabel = appsv1.ControllerRevisionHashLabelKey

// checkRequest checks what a controller asks for by what it has seen. The first request of a task follows from the present
// state of its caches; later ones may be overtaken by events.
func (p *process) checkRequest(t *task, request *history.Request) {
	if request.Resource != string(history.Pods) || request.DryRun {
		return
	}
	switch {
	case request.Verb == "delete" && request.UID == "":
		p.cluster.violated("S5: %s deletes pod %s without its UID", p.controller.name, request.Name)
	case request.Verb == "delete" && t.fresh:
		p.checkBudget(request)
	case request.Verb == "create" && t.fresh:
		p.checkCell(request.Object.(*corev1.Pod))
	}
}

// checkCell checks S1: no pod is requested while another one is seen in its cell that has not ended, except one of another revision when
// it surges. And S3: the node is seen to be eligible.
func (p *process) checkCell(asked *corev1.Pod) {
	cell, _ := daemon.CellOf(asked)
	for _, pod := range all[*corev1.Pod](&p.see(history.Pods).view) {
		if at, ok := daemon.CellOf(pod); !ok || at != cell || finished(pod) && pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if !daemon.MayJoin(asked, pod) {
			p.cluster.violated("S1: %s requests pod %s, and sees pod %s", p.controller.name, asked.Name, pod.Name)
		}
	}
	set := p.ownerOf(asked)
	node, there := p.see(history.Nodes).objects[client.ObjectKey{Name: cell.Node}].(*corev1.Node)
	if set == nil || !there || !p.rules(set, &corev1.PodTemplateSpec{Spec: asked.Spec}).Evaluate(node).ShouldRun {
		p.cluster.violated("S3: %s requests pod %s for node %s", p.controller.name, asked.Name, cell.Node)
	}
}

// ownerOf returns the DaemonSet of a pod as the process sees it; nil if it does not.
func (p *process) ownerOf(pod *corev1.Pod) *v1alpha1.DaemonSet {
	owner, _ := daemon.OwnedByDaemon(pod)
	if owner == nil {
		return nil
	}
	for _, resource := range []history.Resource{history.DaemonSets, history.NativeDaemonSets} {
		if seen := p.see(resource); seen != nil {
			if set := seen.objects[client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name}]; set != nil && set.GetUID() == owner.UID {
				return fixture.FromStored(set)
			}
		}
	}
	return nil
}

// rules returns the rules of a template of a DaemonSet.
func (p *process) rules(set *v1alpha1.DaemonSet, template *corev1.PodTemplateSpec) *daemon.Rules {
	rules := daemon.NewRules(template)
	if fixture.Native(set) {
		return rules
	}
	class, there := p.see(history.RuntimeClasses).objects[client.ObjectKey{Name: daemon.RuntimeClassOf(template)}].(*nodev1.RuntimeClass)
	if !there {
		return rules.WithScheduling(template, nil)
	}
	return rules.WithScheduling(template, class.Scheduling)
}

// checkBudget checks S4: the delete of a node's last available pod for a rollout leaves no more than maxUnavailable eligible
// nodes without one, as far as the process has seen pods, and counting every delete that it ever sent.
func (p *process) checkBudget(request *history.Request) {
	pods := all[*corev1.Pod](&p.see(history.Pods).view)
	goes, seen := p.see(history.Pods).objects[client.ObjectKey{Namespace: request.Namespace, Name: request.Name}].(*corev1.Pod)
	if !seen || goes.UID != request.UID {
		return
	}
	set := p.ownerOf(goes)
	if set == nil || !p.available(goes, set) {
		return
	}
	p.deletes[string(goes.UID)] = true
	if id, err := daemon.Identify(fixture.Workload(set)); err != nil || goes.Labels[revisionLabel] == id.Revision || !p.recorded(set, id.Record) {
		return // it is deleted for another reason, or the present template is no target yet
	}
	with := map[string]bool{}
	for _, pod := range pods {
		if owner := p.ownerOf(pod); owner != nil && owner.UID == set.UID && p.available(pod, set) {
			with[pod.Spec.NodeName] = true
		}
	}
	p.checkWithout(set, goes, with)
}

// recorded reports whether the process has seen the record of a template.
func (p *process) recorded(set *v1alpha1.DaemonSet, name string) bool {
	record := p.see(history.ControllerRevisions).objects[client.ObjectKey{Namespace: set.Namespace, Name: name}]
	return record != nil && metav1.IsControlledBy(record, set)
}

func (p *process) checkWithout(set *v1alpha1.DaemonSet, goes *corev1.Pod, with map[string]bool) {
	rules := p.rules(set, &set.Spec.Template)
	without, desired, concerned := 0, 0, false
	for _, node := range all[*corev1.Node](&p.see(history.Nodes).view) {
		if !rules.Evaluate(node).ShouldRun {
			continue
		}
		desired++
		if !with[node.Name] {
			without++
			concerned = concerned || node.Name == goes.Spec.NodeName && goes.Annotations[v1alpha1.NodeUIDAnnotation] == string(node.UID)
		}
	}
	if limit := p.maxUnavailable(set); concerned && without > limit {
		p.cluster.violated("S4: the delete of pod %s by %s leaves %d of %d nodes without an available pod, at most %d may be", goes.Name, p.controller.name, without, desired, limit)
	}
}

func (p *process) maxUnavailable(set *v1alpha1.DaemonSet) int {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.MaxUnavailable == nil {
		return 1
	}
	limit := rolling.MaxUnavailable.IntValue()
	if limit == 0 && (rolling.MaxSurge == nil || rolling.MaxSurge.IntValue() == 0) {
		return 1
	}
	return limit
}

// available reports whether a pod serves its node as far as the process has seen.
func (p *process) available(pod *corev1.Pod, set *v1alpha1.DaemonSet) bool {
	if pod.DeletionTimestamp != nil || p.deletes[string(pod.UID)] {
		return false
	}
	return available(pod, set, p.cluster.clock.Now())
}
