package podaffinity

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"

	"github.com/everynode/everynode/schedplugin/pluginargs"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Name of the plugin in the registry and in configurations.
const Name = "EverynodeInterPodAffinity"

const stateKey = "PreFilter" + Name

// PodAffinity is the plugin; see the package documentation.
type PodAffinity struct {
	inTree     inTree
	namespaces listersv1.NamespaceLister
	pods       cache.Indexer
}

// inTree is the part of the in-tree plugin that is used.
type inTree interface {
	fwk.PreFilterPlugin
	fwk.PreFilterExtensions
	fwk.FilterPlugin
	fwk.EnqueueExtensions
}

var (
	_ inTree = (*PodAffinity)(nil)
	_ inTree = (*interpodaffinity.InterPodAffinity)(nil)
)

// Name of the plugin.
func (*PodAffinity) Name() string { return Name }

// PreFilter parses the terms of a pod that can be evaluated on its node, and calls the in-tree plugin for any
// other pod. The in-tree plugin reports invalid terms.
func (p *PodAffinity) PreFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if !ofOneNode(pod) || p.anyReaches() {
		return p.inTree.PreFilter(ctx, state, pod, nodes)
	}
	keeper, err := newKeeper(klog.FromContext(ctx), pod, p.namespaces)
	if err != nil {
		return p.inTree.PreFilter(ctx, state, pod, nodes)
	}
	// Not skipped when no pod on the node has anti-affinity: Filter may get nominated pods as well.
	state.Write(stateKey, keeper)
	return nil, nil
}

// ofOneNode reports whether none of a pod's own terms reaches beyond the node that it is pinned to. A bound pod
// is only here for its resize, which the in-tree plugin admits.
func ofOneNode(pod *corev1.Pod) bool {
	if pod.Spec.NodeName != "" || len(fwk.GetPodAffinityTerms(pod.Spec.Affinity)) > 0 || podfacts.Reaches(pod) {
		return false
	}
	_, pinned := podfacts.Target(pod)
	return pinned
}

// Filter evaluates the pods of the given node, or calls the in-tree plugin.
func (p *PodAffinity) Filter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	keeper, err := keeperIn(state)
	if err != nil {
		return fwk.AsStatus(err)
	}
	if keeper == nil {
		return p.inTree.Filter(ctx, state, pod, node)
	}
	if reason := keeper.verdict(node); reason != "" {
		return fwk.NewStatus(fwk.Unschedulable, reason)
	}
	return nil
}

// keeperIn returns PreFilter's state, nil if it called the in-tree plugin.
func keeperIn(state fwk.CycleState) (*keeper, error) {
	data, err := state.Read(stateKey)
	if errors.Is(err, fwk.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", stateKey, err)
	}
	keeper, ok := data.(*keeper)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T", stateKey, data)
	}
	return keeper, nil
}

// PreFilterExtensions are for the in-tree plugin.
func (p *PodAffinity) PreFilterExtensions() fwk.PreFilterExtensions { return p }

// AddPod passes a pod to the in-tree plugin, if that decides. Filter sees the pod on the node.
func (p *PodAffinity) AddPod(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, added fwk.PodInfo, node fwk.NodeInfo) *fwk.Status {
	return p.unlessKept(state, func() *fwk.Status { return p.inTree.AddPod(ctx, state, pod, added, node) })
}

// RemovePod passes a pod to the in-tree plugin, if that decides.
func (p *PodAffinity) RemovePod(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, removed fwk.PodInfo, node fwk.NodeInfo) *fwk.Status {
	return p.unlessKept(state, func() *fwk.Status { return p.inTree.RemovePod(ctx, state, pod, removed, node) })
}

func (p *PodAffinity) unlessKept(state fwk.CycleState, inTree func() *fwk.Status) *fwk.Status {
	switch keeper, err := keeperIn(state); {
	case err != nil:
		return fwk.AsStatus(err)
	case keeper != nil:
		return nil
	}
	return inTree()
}

// New creates the plugin. It takes no arguments: those of the in-tree plugin only affect scores.
func New(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	if err := pluginargs.None(Name, args); err != nil {
		return nil, err
	}
	made, err := interpodaffinity.New(ctx, &config.InterPodAffinityArgs{}, handle, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate))
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", Name, err)
	}
	inner, ok := made.(inTree)
	if !ok {
		return nil, fmt.Errorf("plugin %s: %T is not a filter with events", Name, made)
	}
	core := handle.SharedInformerFactory().Core().V1()
	pods := core.Pods().Informer()
	if err := addReachIndex(pods); err != nil {
		return nil, fmt.Errorf("plugin %s: %w", Name, err)
	}
	return &PodAffinity{inTree: inner, namespaces: core.Namespaces().Lister(), pods: pods.GetIndexer()}, nil
}
