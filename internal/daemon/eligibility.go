package daemon

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Reason is why a node is or is not eligible for a daemon.
type Reason string

// The reasons of a Verdict.
const (
	ReasonEligible        Reason = "Eligible"
	ReasonOtherNode       Reason = "TemplateNamesOtherNode"
	ReasonNodeSelector    Reason = "NodeSelectorMismatch"
	ReasonNoScheduleTaint Reason = "UntoleratedNoScheduleTaint"
	ReasonNoExecuteTaint  Reason = "UntoleratedNoExecuteTaint"
)

// Verdict is what a daemon may do on a node. ShouldRun: a pod starts there. ShouldContinue: an existing pod
// stays. Reason and Message explain; the same strings appear in events and logs.
type Verdict struct {
	ShouldRun, ShouldContinue bool
	Reason                    Reason
	Message                   string
}

// Rules are a template's requirements for a node, parsed once. They are immutable and safe for concurrent use.
type Rules struct {
	nodeName    string
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
	class       *classTerms // nil if the template names no RuntimeClass, see WithScheduling
}

// NewRules parses the template's nodeName, nodeSelector, required node affinity and tolerations, including
// those of every daemon. As in apps/v1, a term that does not parse matches no node; it is not an error.
func NewRules(template *corev1.PodTemplateSpec) *Rules {
	spec := &template.Spec
	return &Rules{
		nodeName:    spec.NodeName,
		affinity:    nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity),
		tolerations: withDaemonTolerations(spec.Tolerations, spec.HostNetwork),
	}
}

// Evaluate applies the rules of apps/v1 (k8s.io/kubernetes pkg/controller/daemon NodeShouldRunDaemonPod) to a
// node: it must be the one that the template names, match the required affinity, and have no untolerated taint.
// An untolerated NoSchedule taint prevents a pod from starting, but not from continuing; an untolerated
// NoExecute taint ends it too.
func (r *Rules) Evaluate(node *corev1.Node) Verdict {
	if r.nodeName != "" && r.nodeName != node.Name {
		return no(ReasonOtherNode, "the template names node %s in spec.nodeName", r.nodeName)
	}
	// An error means a term that does not parse: it matches nothing.
	if matches, _ := r.affinity.Match(node); !matches {
		return no(ReasonNodeSelector, "node %s does not match the template's nodeSelector or required node affinity", node.Name)
	}
	if taint, found := r.untolerated(node, corev1.TaintEffectNoExecute); found {
		verdict := no(ReasonNoExecuteTaint, "node %s has taint %s, which the template does not tolerate", node.Name, taint.ToString())
		verdict.ShouldContinue = r.class != nil
		return verdict
	}
	if taint, found := r.untolerated(node, corev1.TaintEffectNoSchedule); found {
		verdict := no(ReasonNoScheduleTaint, "node %s has taint %s, which the template does not tolerate; an existing pod stays", node.Name, taint.ToString())
		verdict.ShouldContinue = true
		return verdict
	}
	// The message does not contain the node's name, so that the cells of a large cluster share it.
	return r.class.start(node, Verdict{ShouldRun: true, ShouldContinue: true, Reason: ReasonEligible, Message: "the node is eligible"})
}

func no(reason Reason, format string, args ...any) Verdict {
	return Verdict{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// untolerated returns the first taint of an effect that the daemon does not tolerate. Comparison operators (Lt,
// Gt) are enabled: the API server refuses them while their feature gate TaintTolerationComparisonOperators is
// off.
func (r *Rules) untolerated(node *corev1.Node, effect corev1.TaintEffect) (corev1.Taint, bool) {
	if len(node.Spec.Taints) == 0 {
		return corev1.Taint{}, false
	}
	return schedcorev1.FindMatchingUntoleratedTaint(klog.Logger{}, node.Spec.Taints, r.tolerations,
		func(taint *corev1.Taint) bool { return taint.Effect == effect }, true)
}
