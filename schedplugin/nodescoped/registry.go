package nodescoped

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodedeclaredfeatures"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeports"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeunschedulable"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/tainttoleration"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/everynode/everynode/schedplugin/pluginargs"
)

const prefix = "Everynode"

// Names of the plugins in the registry and in configurations.
const (
	NodeResourcesFit     = prefix + names.NodeResourcesFit
	NodePorts            = prefix + names.NodePorts
	NodeVolumeLimits     = prefix + names.NodeVolumeLimits
	NodeUnschedulable    = prefix + names.NodeUnschedulable
	NodeAffinity         = prefix + names.NodeAffinity
	TaintToleration      = prefix + names.TaintToleration
	NodeDeclaredFeatures = prefix + names.NodeDeclaredFeatures
)

// Each wrapped plugin implements the extension points of Plugin.
var (
	_ inTree = (*noderesources.Fit)(nil)
	_ inTree = (*nodeports.NodePorts)(nil)
	_ inTree = (*nodevolumelimits.CSILimits)(nil)
	_ inTree = (*nodeunschedulable.NodeUnschedulable)(nil)
	_ inTree = (*nodeaffinity.NodeAffinity)(nil)
	_ inTree = (*tainttoleration.TaintToleration)(nil)
	_ inTree = (*nodedeclaredfeatures.NodeDeclaredFeatures)(nil)
)

// Registry returns the factories of the plugins by name.
func Registry() frameworkruntime.Registry {
	return frameworkruntime.Registry{
		NodeResourcesFit:     NewFit,
		NodePorts:            factory(NodePorts, nodeports.New),
		NodeVolumeLimits:     factory(NodeVolumeLimits, nodevolumelimits.NewCSI),
		NodeUnschedulable:    factory(NodeUnschedulable, nodeunschedulable.New),
		NodeAffinity:         factory(NodeAffinity, withoutAddedAffinity),
		TaintToleration:      factory(TaintToleration, tainttoleration.New),
		NodeDeclaredFeatures: factory(NodeDeclaredFeatures, nodedeclaredfeatures.New),
	}
}

// factory creates plugins without args. Feature gates are read when a plugin is created, after the command has
// parsed its flags.
func factory(name string, build frameworkruntime.PluginFactoryWithFts[fwk.Plugin]) frameworkruntime.PluginFactory {
	return func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		if err := pluginargs.None(name, args); err != nil {
			return nil, err
		}
		return wrap(ctx, name, nil, handle, gates(), build)
	}
}

// withoutAddedAffinity creates NodeAffinity with its default args: affinity that addedAffinity would add to
// every pod of a profile belongs in a DaemonSet's template.
func withoutAddedAffinity(ctx context.Context, _ runtime.Object, handle fwk.Handle, features feature.Features) (fwk.Plugin, error) {
	return nodeaffinity.New(ctx, &config.NodeAffinityArgs{}, handle, features)
}

func gates() feature.Features {
	return feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
}

// wrap creates an in-tree plugin and wraps it in a Plugin.
func wrap(ctx context.Context, name string, args runtime.Object, handle fwk.Handle, features feature.Features, build frameworkruntime.PluginFactoryWithFts[fwk.Plugin]) (*Plugin, error) {
	made, err := build(ctx, args, handle, features)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", name, err)
	}
	inner, ok := made.(inTree)
	if !ok {
		return nil, fmt.Errorf("plugin %s: %T is not a filter with events", name, made)
	}
	return &Plugin{inTree: inner, name: name}, nil
}
