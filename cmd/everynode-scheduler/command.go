package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/everynode/everynode/schedplugin"
)

const name = "everynode-scheduler"

// newCommand is app.NewSchedulerCommand, but for a hand on the scheduler between its being built and
// run, which that gives to nobody.
func newCommand() *cobra.Command {
	opts := options.NewOptions()
	var own schedplugin.Options
	command := &cobra.Command{
		Use: name,
		Long: `everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every flag but
--scheduled-events, and the configuration file, are kube-scheduler's own. It runs beside the cluster's
scheduler, for daemons' pods alone, or in its place.`,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return opts.ComponentGlobalsRegistry.Set() },
		RunE:              func(command *cobra.Command, _ []string) error { return run(command, opts, own) },
	}
	flags := opts.Flags
	flags.FlagSet("everynode").BoolVar(&own.ScheduledEvents, "scheduled-events", false,
		"write the event Scheduled about daemons' pods too; it says what spec.nodeName and the condition PodScheduled do, and is a request for each pod")
	verflag.AddFlags(flags.FlagSet("global"))
	globalflag.AddGlobalFlags(flags.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	for _, set := range flags.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	columns, _, _ := term.TerminalSize(command.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(command, *flags, columns)
	return command
}

// run ends with an error, or with the process: losing the lease is the end of it.
func run(command *cobra.Command, opts *options.Options, own schedplugin.Options) error {
	verflag.PrintAndExitIfRequested()
	gates := opts.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gates); err != nil {
		return fmt.Errorf("the logging flags: %w", err)
	}
	cliflag.PrintFlags(command.Flags())
	informers, err := cache.NewInformerName(name)
	if err != nil {
		return err
	}
	opts.InformerName = informers

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-server.SetupSignalHandler()
		cancel()
	}()
	config, sched, err := app.Setup(ctx, opts, plugins()...)
	if err != nil {
		return err
	}
	schedplugin.Extend(sched, own)
	if gates, ok := gates.(featuregate.MutableFeatureGate); ok {
		gates.AddMetrics()
	}
	opts.ComponentGlobalsRegistry.AddMetrics()
	return app.Run(ctx, config, sched)
}

func plugins() []app.Option {
	registry := schedplugin.Registry()
	var plugins []app.Option
	for _, name := range slices.Sorted(maps.Keys(registry)) {
		plugins = append(plugins, app.WithPlugin(name, registry[name]))
	}
	return plugins
}
