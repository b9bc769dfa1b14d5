// Command everynode-controller maintains DaemonSets of everynode.dev: it creates their missing pods, deletes
// excess and misplaced ones, and writes their status.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller"
	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/cluster"
	"github.com/everynode/everynode/internal/garbage"
	"github.com/everynode/everynode/internal/logging"
	"github.com/everynode/everynode/internal/slimclient"
	"github.com/everynode/everynode/internal/telemetry"
	"github.com/everynode/everynode/internal/version"
)

const name = "everynode-controller"

// syncTimeout is how long the initial sync may take: indefinitely. A restart does not help, whether the machine
// is overloaded or a kind cannot be listed; /readyz shows the reason.
const syncTimeout = 365 * 24 * time.Hour

// room is how much garbage may accumulate before it is collected. A large cluster's cache is a live heap of
// hundreds of megabytes with little garbage: Go's default of 100 percent would double it to save processor time
// that is not needed. In a small cluster a quarter of the heap would be garbage many times a second in a
// rollout.
var room = garbage.Room{Share: 25, Bytes: 64 << 20}

type options struct {
	workloads, placement          string
	workers                       int
	leaderElect                   bool
	leaderElectionNamespace       string
	healthAddress, metricsAddress string
	metricsSecure                 bool
	certificates                  certificateFlags
}

func main() {
	is := version.Of(name)
	if version.Asked(os.Args[1:]) {
		is.PrintAndExit()
	}
	var o options
	applyLogging := o.addFlags(flag.CommandLine)
	flag.Parse()
	if err := applyLogging(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	log := klog.Background()
	ctrl.SetLogger(log)
	log.Info("Starting everynode-controller", is.Fields()...)
	metrics.Registry.MustRegister(is.Metric())
	room.Keep()

	err := run(ctrl.SetupSignalHandler(), o)
	if err != nil {
		log.Error(err, "everynode-controller failed")
		os.Exit(1)
	}
}

// addFlags adds every flag but --kubeconfig, which is controller-runtime's. Call the returned function after
// they are parsed, before anything is logged.
func (o *options) addFlags(flags *flag.FlagSet) (applyLogging func() error) {
	flags.StringVar(&o.workloads, "workloads", "everynode", "kinds to serve, separated by commas: everynode (DaemonSets of everynode.dev), apps (DaemonSets of apps/v1; kube-controller-manager must run with --controllers=*,-daemonset-controller)")
	flags.StringVar(&o.placement, "placement", string(placement.Auto), "what pins pods to their nodes: auto (admission, and the controller while that is not effective), admission (only admission, by a webhook or a policy), direct (only the controller)")
	flags.IntVar(&o.workers, "workers", 64, "number of cells (one DaemonSet on one node) processed concurrently")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "use leader election, so that only one of several replicas is active")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "everynode-system", "namespace of the leader election's lease")
	flags.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz (HTTP)")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 for none")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "serve /metrics over TLS, to clients whose token may get the URL /metrics (TokenReview, SubjectAccessReview); false for HTTP, to all clients")
	o.certificates.add(flags)
	return logging.AddFlags(flags)
}

func run(ctx context.Context, o options) error {
	serve, err := o.validate()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server (set --kubeconfig, or run in a cluster): %w", err)
	}
	config.QPS = -1 // the API server's priority and fairness limits us
	keep, err := o.certificates.options()
	if err != nil {
		return err
	}
	serve.Caches = caches.New(serve.Kinds)
	metrics.Registry.MustRegister(serve.Caches)
	mgr, err := newManager(config, o, serve.Caches)
	if err != nil {
		return err
	}
	serve.NoPolicy = cluster.Report(ctx, config).NoPolicy()
	if serve.NoPolicy != "" && serve.Placement != placement.Direct {
		klog.FromContext(ctx).Info("Placement by policy is not available on this API server; it is not needed where everynode-webhook is installed", "reason", serve.NoPolicy)
	}
	if err := controller.Setup(mgr, serve); err != nil {
		return err
	}
	if err := addCertificates(ctx, mgr, keep); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// validate returns an error for unsupported values of flags.
func (o *options) validate() (controller.Options, error) {
	kinds, err := controller.ParseKinds(o.workloads)
	if err != nil {
		return controller.Options{}, fmt.Errorf("--workloads: %w", err)
	}
	if o.workers < 1 {
		return controller.Options{}, fmt.Errorf("--workers=%d: set 1 or more", o.workers)
	}
	mode, err := placement.Parse(o.placement)
	if err != nil {
		return controller.Options{}, fmt.Errorf("--placement: %w", err)
	}
	return controller.Options{Kinds: kinds, Placement: mode, Workers: o.workers}, nil
}

func newManager(config *rest.Config, o options, kept *caches.Caches) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         kept.Options(),
		NewClient:                     slimclient.New,
		Controller:                    ctrlconfig.Controller{CacheSyncTimeout: syncTimeout},
		Metrics:                       telemetry.Options(o.metricsAddress, o.metricsSecure),
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              name,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, // run returns when the manager ends, so nothing continues without the lease
	})
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}
