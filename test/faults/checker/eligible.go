package checker

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	upstream "k8s.io/kubernetes/pkg/controller/daemon"
)

// may is what a daemon may do on a node: start a pod, keep one.
type may struct{ start, stay bool }

// question is a spec, the labels and taints of a node, and a RuntimeClass, all by number.
type question struct{ spec, node, class int }

// oracle answers by Kubernetes' own rules, once for each question.
type oracle map[question]may

func (o oracle) ask(spec *spec, node *node, class *class) may {
	q := question{spec: spec.number, node: node.number}
	if class != nil {
		q.class = class.number
	}
	answer, known := o[q]
	if !known {
		answer = evaluate(spec, node.object, class)
		o[q] = answer
	}
	return answer
}

// evaluate joins upstream's rules with what a RuntimeClass adds. It is merged into pods when they are created, so it
// decides whether one may start. It ends none: those that run keep the tolerations with which they were stored.
//
// A suspended daemon must leave every node.
func evaluate(spec *spec, node *corev1.Node, class *class) may {
	if spec.suspended {
		return may{}
	}
	start, stay := upstream.NodeShouldRunDaemonPod(klog.Logger{}, node, spec.upstream)
	if spec.className == "" {
		return may{start, stay}
	}
	affine, _ := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: spec.template.Spec}).Match(node)
	stay = stay || affine && (spec.template.Spec.NodeName == "" || spec.template.Spec.NodeName == node.Name)
	scheduling := class.scheduling()
	if scheduling == nil || contradicts(spec.template.Spec.NodeSelector, scheduling.NodeSelector) {
		return may{start, stay}
	}
	merged := &appsv1.DaemonSet{Spec: *spec.upstream.Spec.DeepCopy()}
	merged.Spec.Template.Spec.Tolerations = slices.Concat(merged.Spec.Template.Spec.Tolerations, scheduling.Tolerations)
	start, _ = upstream.NodeShouldRunDaemonPod(klog.Logger{}, node, merged)
	return may{start && labels.SelectorFromSet(scheduling.NodeSelector).Matches(labels.Set(node.Labels)), stay}
}

// contradicts reports whether the API server refuses the pod of a template because of its RuntimeClass.
func contradicts(template, class map[string]string) bool {
	for key, value := range class {
		if other, both := template[key]; both && other != value {
			return true
		}
	}
	return false
}

// class is a RuntimeClass.
type class struct {
	object *nodev1.RuntimeClass
	number int
	former *class // the state before
	until  int    // the index of the record that ended this state
}

// since returns the class as it is, and as it was since a record. It may not exist.
func (c *class) since(from int) (all []*class) {
	all = append(all, c)
	for c != nil && c.former != nil && c.former.until >= from {
		c = c.former
		all = append(all, c)
	}
	return all
}

func (c *class) scheduling() *nodev1.Scheduling {
	if c == nil || c.object == nil {
		return nil
	}
	return c.object.Scheduling
}

// sameForPods reports whether a node is the same to the rules: its heartbeats do not matter.
func sameForPods(a, b *corev1.Node) bool {
	return maps.Equal(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints)
}

// fits reports whether a node can take a pod as it is stored, as far as the pod's own placement goes.
func fits(pod *corev1.Pod, node *corev1.Node) bool {
	if affine, _ := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); !affine {
		return false
	}
	return tolerates(pod.Spec.Tolerations, node)
}

func tolerates(tolerations []corev1.Toleration, node *corev1.Node) bool {
	if len(node.Spec.Taints) == 0 {
		return true
	}
	_, found := schedcorev1.FindMatchingUntoleratedTaint(klog.Logger{}, node.Spec.Taints, tolerations, func(taint *corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
	}, true)
	return !found
}
