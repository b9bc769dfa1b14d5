package main

import (
	"context"
	"errors"

	clientfeatures "k8s.io/client-go/features"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	appconfig "k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"

	"github.com/everynode/everynode/schedplugin"
	"github.com/everynode/everynode/schedplugin/podevents"
)

// setup is app.Setup with our plugins and with informers that separate pods of the same name (podevents).
// app.Setup builds both the informers and the scheduler that adds its handlers to them, and gives access to
// neither in between.
func setup(ctx context.Context, opts *options.Options, own schedplugin.Options) (*appconfig.CompletedConfig, *scheduler.Scheduler, error) {
	defaults, err := latest.Default()
	if err != nil {
		return nil, nil, err
	}
	opts.ComponentConfig = defaults
	if errs := opts.Validate(); len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	informWhole()
	loaded, err := opts.Config(ctx)
	if err != nil {
		return nil, nil, err
	}
	loaded.InformerFactory = podevents.Split(loaded.InformerFactory)
	completed := loaded.Complete()
	sched, profiles, err := build(ctx, &completed)
	if err != nil {
		return nil, nil, err
	}
	if err := options.LogOrWriteConfig(klog.FromContext(ctx), opts.WriteConfigTo, &completed.ComponentConfig, profiles); err != nil {
		return nil, nil, err
	}
	schedplugin.Extend(sched, own)
	return &completed, sched, nil
}

// build creates the scheduler, and returns the profiles with all defaults.
func build(ctx context.Context, with *appconfig.CompletedConfig) (*scheduler.Scheduler, []config.KubeSchedulerProfile, error) {
	profiles := []config.KubeSchedulerProfile{}
	wanted := &with.ComponentConfig
	sched, err := scheduler.New(ctx, with.Client, with.InformerFactory, with.DynInformerFactory,
		func(name string) events.EventRecorderLogger { return with.EventBroadcaster.NewRecorder(name) },
		scheduler.WithComponentConfigVersion(wanted.APIVersion),
		scheduler.WithKubeConfig(with.KubeConfig),
		scheduler.WithProfiles(wanted.Profiles...),
		scheduler.WithPercentageOfNodesToScore(wanted.PercentageOfNodesToScore),
		scheduler.WithFrameworkOutOfTreeRegistry(schedplugin.Registry()),
		scheduler.WithPodMaxBackoffSeconds(wanted.PodMaxBackoffSeconds),
		scheduler.WithPodInitialBackoffSeconds(wanted.PodInitialBackoffSeconds),
		scheduler.WithPodMaxInUnschedulablePodsDuration(with.PodMaxInUnschedulablePodsDuration),
		scheduler.WithExtenders(wanted.Extenders...),
		scheduler.WithParallelism(wanted.Parallelism),
		scheduler.WithBuildFrameworkCapturer(func(profile config.KubeSchedulerProfile) { profiles = append(profiles, profile) }),
	)
	return sched, profiles, err
}

// informWhole makes informers process a list in one step, which uniqueness relies on. It is client-go's default
// since Kubernetes 1.36, but not while the scheduler emulates an older release; it does not depend on the
// server.
func informWhole() { clientfeatures.ReplaceFeatureGates(wholeLists{clientfeatures.FeatureGates()}) }

type wholeLists struct{ clientfeatures.Gates }

func (w wholeLists) Enabled(feature clientfeatures.Feature) bool {
	return feature == clientfeatures.AtomicFIFO || w.Gates.Enabled(feature)
}
