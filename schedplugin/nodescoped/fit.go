package nodescoped

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"

	"github.com/everynode/everynode/schedplugin/pluginargs"
	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Fit is NodeResourcesFit that reports to a pinned pod how much is missing. Upstream counts nodes in a pod's
// message ("3 Insufficient cpu"); for one node the amounts are more useful.
type Fit struct {
	*Plugin
	args    FitArgs
	options noderesources.ResourceRequestsOptions
	handle  fwk.Handle
}

var _ inTree = (*Fit)(nil)

// Filter is the in-tree plugin's, with amounts in its reasons.
func (f *Fit) Filter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	status := f.Plugin.Filter(ctx, state, pod, node)
	if !status.IsRejected() {
		return status
	}
	if _, pinned := podfacts.Target(pod); !pinned {
		return status
	}
	reasons := f.reasons(pod, node)
	if len(reasons) == 0 {
		return status
	}
	return fwk.NewStatus(status.Code(), reasons...)
}

// reasons reports for every insufficient resource how much is missing, in upstream's order, with extended
// resources by name, which upstream has in map order.
func (f *Fit) reasons(pod *corev1.Pod, node fwk.NodeInfo) []string {
	var draManager fwk.SharedDRAManager
	if f.options.EnableDRAExtendedResource {
		draManager = f.handle.SharedDRAManager()
	}
	short := slices.DeleteFunc(noderesources.Fits(pod, node, draManager, f.options), f.ignored)
	slices.SortStableFunc(short, func(a, b noderesources.InsufficientResource) int {
		return cmp.Or(cmp.Compare(rank(a.ResourceName), rank(b.ResourceName)), cmp.Compare(a.ResourceName, b.ResourceName))
	})
	reasons := make([]string, len(short))
	for i := range short {
		reasons[i] = reason(&short[i])
	}
	return reasons
}

// ignored reports whether the args ignore a resource, which noderesources.Fits does not know (fit.go,
// fitsRequest).
func (f *Fit) ignored(short noderesources.InsufficientResource) bool {
	if !v1helper.IsExtendedResourceName(short.ResourceName) {
		return false
	}
	group, _, _ := strings.Cut(string(short.ResourceName), "/")
	return slices.Contains(f.args.IgnoredResources, string(short.ResourceName)) || slices.Contains(f.args.IgnoredResourceGroups, group)
}

func rank(resource corev1.ResourceName) int {
	order := []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	if i := slices.Index(order, resource); i >= 0 {
		return i
	}
	return len(order)
}

// reason reports how much of a resource a pod needs and the node has. If no eviction can help, it reports the
// node's total, which stays the same while pods come and go.
func reason(short *noderesources.InsufficientResource) string {
	if short.ResourceName == corev1.ResourcePods {
		return fmt.Sprintf("too many pods: %d of %d", short.Used, short.Capacity)
	}
	if short.Unresolvable {
		needs, there := amounts(short.ResourceName, short.Requested, short.Capacity)
		return fmt.Sprintf("insufficient %s: needs %s, the node has %s", short.ResourceName, needs, there)
	}
	needs, free := amounts(short.ResourceName, short.Requested, max(0, short.Capacity-short.Used))
	return fmt.Sprintf("insufficient %s: needs %s, %s free", short.ResourceName, needs, free)
}

// NewFit creates EverynodeNodeResourcesFit.
func NewFit(ctx context.Context, object runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	var args FitArgs
	if err := pluginargs.Decode(NodeResourcesFit, object, &args); err != nil {
		return nil, err
	}
	features := gates()
	plugin, err := wrap(ctx, NodeResourcesFit, args.inTree(), handle, features, noderesources.NewFit)
	if err != nil {
		return nil, fmt.Errorf("%w: correct its args under pluginConfig", err)
	}
	return &Fit{Plugin: plugin, args: args, options: optionsOf(features), handle: handle}, nil
}

// inTree converts the args for the in-tree plugin's validation, which requires a scoring strategy.
func (a *FitArgs) inTree() *config.NodeResourcesFitArgs {
	return &config.NodeResourcesFitArgs{
		IgnoredResources:      a.IgnoredResources,
		IgnoredResourceGroups: a.IgnoredResourceGroups,
		ScoringStrategy: &config.ScoringStrategy{
			Type:      config.LeastAllocated,
			Resources: []config.ResourceSpec{{Name: string(corev1.ResourceCPU), Weight: 1}, {Name: string(corev1.ResourceMemory), Weight: 1}},
		},
	}
}

// optionsOf returns the options with which the in-tree Filter counts (fit.go, Filter).
func optionsOf(features feature.Features) noderesources.ResourceRequestsOptions {
	return noderesources.ResourceRequestsOptions{
		EnablePodLevelResources:                            features.EnablePodLevelResources,
		EnableDRAExtendedResource:                          features.EnableDRAExtendedResource,
		EnableInPlacePodVerticalScalingSchedulerPreemption: features.EnableInPlacePodVerticalScalingSchedulerPreemption,
	}
}
