package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/everynode/everynode/internal/version"
	"github.com/everynode/everynode/schedplugin"
)

const name = "everynode-scheduler"

// newCommand is app.NewSchedulerCommand, which gives no access to the scheduler before it runs.
func newCommand() *cobra.Command {
	opts := options.NewOptions()
	var own schedplugin.Options
	command := &cobra.Command{
		Use: name,
		Long: `everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every flag but
--scheduled-events, and the configuration file, are kube-scheduler's own. It runs beside the cluster's
scheduler, for daemons' pods only, or in place of it.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return run(command, opts, own) },
	}
	flags := addFlags(opts, &own)
	for _, set := range flags.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	columns, _, _ := term.TerminalSize(command.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(command, *flags, columns)
	command.AddCommand(newVersionCommand())
	return command
}

// ownFlags is the section of Everynode's own flags.
const ownFlags = "everynode"

// addFlags adds every flag that is not part of kube-scheduler's options.
func addFlags(opts *options.Options, own *schedplugin.Options) *cliflag.NamedFlagSets {
	flags := opts.Flags
	flags.FlagSet(ownFlags).BoolVar(&own.ScheduledEvents, "scheduled-events", false,
		"write the event Scheduled for daemon pods too; it repeats spec.nodeName and the condition PodScheduled, and costs a request for each pod")
	verflag.AddFlags(flags.FlagSet("global"))
	globalflag.AddGlobalFlags(flags.FlagSet("global"), name, logs.SkipLoggingConfigurationFlags())
	return flags
}

// newVersionCommand prints this program's version; --version prints only that of kube-scheduler.
func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version information",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return version.Of(name).Print(command.OutOrStdout())
		},
	}
}

// run ends with an error, or exits the process when it loses the lease.
func run(command *cobra.Command, opts *options.Options, own schedplugin.Options) error {
	verflag.PrintAndExitIfRequested()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-server.SetupSignalHandler()
		cancel()
	}()
	followed, err := follow(ctx, command.Flags(), opts)
	if err != nil {
		return err
	}
	gates := opts.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gates); err != nil {
		return fmt.Errorf("the logging flags: %w", err)
	}
	is := version.Of(name)
	klog.Background().Info("Starting everynode-scheduler", is.Fields()...)
	legacyregistry.RawMustRegister(is.Metric())
	followed.Log(ctx)
	cliflag.PrintFlags(command.Flags())
	informers, err := cache.NewInformerName(name)
	if err != nil {
		return err
	}
	opts.InformerName = informers

	config, sched, err := setup(ctx, opts, own)
	if err != nil {
		return err
	}
	if gates, ok := gates.(featuregate.MutableFeatureGate); ok {
		gates.AddMetrics()
	}
	opts.ComponentGlobalsRegistry.AddMetrics()
	return app.Run(ctx, config, sched)
}
