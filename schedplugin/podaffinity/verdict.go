package podaffinity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
)

// keeper decides which pods of a node block a pod.
type keeper struct {
	pod *corev1.Pod
	// own is the pod's own required anti-affinity, of topology kubernetes.io/hostname.
	own []fwk.AffinityTerm
	// namespace has the labels of the pod's namespace, for the namespace selectors of others.
	namespace labels.Set
}

// newKeeper parses the terms of a pod none of whose terms reaches further than its node.
func newKeeper(logger klog.Logger, pod *corev1.Pod, namespaces listersv1.NamespaceLister) (*keeper, error) {
	own, err := fwk.GetAffinityTerms(pod, fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity))
	if err != nil {
		return nil, err
	}
	for i := range own {
		if err := nameNamespaces(&own[i], namespaces); err != nil {
			return nil, err
		}
	}
	return &keeper{pod: pod, own: own, namespace: interpodaffinity.GetNamespaceLabelsSnapshot(logger, pod.Namespace, namespaces)}, nil
}

// nameNamespaces replaces the namespace selector with the names of its namespaces, so that the term can be
// matched without the labels of each pod's namespace (plugin.go, mergeAffinityTermNamespacesIfNotEmpty). An
// empty selector is kept: it matches all.
func nameNamespaces(term *fwk.AffinityTerm, namespaces listersv1.NamespaceLister) error {
	if term.NamespaceSelector.Empty() {
		return nil
	}
	selected, err := namespaces.List(term.NamespaceSelector)
	if err != nil {
		return err
	}
	for _, namespace := range selected {
		term.Namespaces.Insert(namespace.Name)
	}
	term.NamespaceSelector = labels.Nothing()
	return nil
}

// Clone returns the keeper itself: it does not depend on other pods.
func (k *keeper) Clone() fwk.StateData { return k }

// avoids reports whether the pod's own terms keep it away from another pod's node.
func (k *keeper) avoids(other *corev1.Pod) bool {
	return slices.ContainsFunc(k.own, func(term fwk.AffinityTerm) bool { return term.Matches(other, nil) })
}

// repels reports whether another pod's term keeps the pod away.
func (k *keeper) repels(term fwk.AffinityTerm) bool { return term.Matches(k.pod, k.namespace) }

// verdict returns the reason why the pod may not run on a node, with upstream's text, in its order. A term
// whose topology the node does not have blocks nothing. Terms of any topology count: a node is in its own zone.
func (k *keeper) verdict(info fwk.NodeInfo) string {
	node := labels.Set(info.Node().Labels)
	if len(k.own) > 0 && node.Has(corev1.LabelHostname) {
		for _, other := range info.GetPods() {
			if k.avoids(other.GetPod()) {
				return interpodaffinity.ErrReasonAntiAffinityRulesNotMatch
			}
		}
	}
	for _, other := range info.GetPodsWithRequiredAntiAffinity() {
		for _, term := range other.GetRequiredAntiAffinityTerms() {
			if node.Has(term.TopologyKey) && k.repels(term) {
				return interpodaffinity.ErrReasonExistingAntiAffinityRulesNotMatch
			}
		}
	}
	return ""
}
