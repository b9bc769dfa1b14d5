// Command everynode-webhook serves Everynode's admission: it turns spec.nodeName of daemon pods that
// are being created into node affinity, and refuses DaemonSets of everynode.dev that apps/v1 would refuse.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/internal/logging"
	"github.com/everynode/everynode/internal/telemetry"
	"github.com/everynode/everynode/internal/version"
	"github.com/everynode/everynode/webhook"
)

const name = "everynode-webhook"

// shutdownDelay is the default of --shutdown-delay: a kubelet notices a failed readiness probe after a period
// or two, and the endpoints need another second to reach every API server.
const shutdownDelay = 5 * time.Second

// gcPercent is the garbage collection target. The live heap is so small that Go's 100 would collect dozens of
// times a second under load: 400 nearly halves the slowest hundredth of answers for 13 MB.
const gcPercent = 400

type options struct {
	address, healthAddress string
	metricsAddress         string
	metricsSecure          bool
	certFile, keyFile      string
	secret                 string
	clientCAFile           string
	clientNames            string
	shutdownDelay          time.Duration
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
	log.Info("Starting everynode-webhook", is.Fields()...)
	metrics.Registry.MustRegister(is.Metric())
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // restores the default handling of the next signal
	if err := run(ctx, o); err != nil {
		log.Error(err, "everynode-webhook failed")
		os.Exit(1)
	}
}

// addFlags adds every flag but --kubeconfig, which is controller-runtime's. Call the returned function after
// they are parsed, before anything is logged.
func (o *options) addFlags(flags *flag.FlagSet) (applyLogging func() error) {
	flags.StringVar(&o.address, "bind-address", ":9443", "address of the webhook (TLS)")
	flags.StringVar(&o.healthAddress, "health-bind-address", ":9444", "address of /healthz and /readyz (HTTP)")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":9445", "address of /metrics; 0 for none")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "serve /metrics over TLS, to clients whose token may get the URL /metrics; needs access to the API server (TokenReview, SubjectAccessReview), and without it no metrics are served; false for HTTP, to all clients")
	flags.StringVar(&o.certFile, "tls-cert-file", "", "PEM file of the serving certificate and its chain, reloaded when it changes; without it the certificate is that of --tls-secret")
	flags.StringVar(&o.keyFile, "tls-private-key-file", "", "PEM file of the certificate's private key, reloaded when it changes")
	flags.StringVar(&o.secret, "tls-secret", v1alpha1.SystemNamespace+"/"+certs.LeafSecret, "Secret of the serving certificate, as namespace/name, reloaded when it changes; used if no files are set")
	flags.StringVar(&o.clientCAFile, "client-ca-file", "", "PEM file of the CAs whose clients are served; empty for any client. The API server presents a certificate if its AdmissionConfiguration names a kubeconfig for the webhook")
	flags.StringVar(&o.clientNames, "client-allowed-names", "", "common names of the clients that are served, separated by commas; empty for every one of --client-ca-file")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay", shutdownDelay, "how long to serve after the signal to stop, with failing readiness, until the endpoints are updated. A second signal ends at once")
	return logging.AddFlags(flags)
}

// run serves the webhook and its health until ctx ends or one of the two fails.
func run(ctx context.Context, o options) error {
	log := klog.FromContext(ctx)
	source, err := o.source()
	if err != nil {
		return err
	}
	config := certs.ServerConfig(source)
	if err := o.requireClients(config); err != nil {
		return err
	}
	others, nodes, err := ofCluster(log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return fmt.Errorf("listening for the webhook (--bind-address): %w", err)
	}
	healthListener, err := net.Listen("tcp", o.healthAddress)
	if err != nil {
		return fmt.Errorf("listening for health (--health-bind-address): %w", err)
	}
	metrics.Registry.MustRegister(certs.NewExpirationCollector(source))
	monitor, err := o.monitor(log)
	if err != nil {
		return err
	}
	log.Info("Serving placement and validation", "address", listener.Addr(), "health", healthListener.Addr())

	// The certificate is followed, and health served, as long as requests are answered: the first to end
	// cancels ctx.
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	background, end := context.WithCancel(failed)
	serving, drain := context.WithCancel(ctx)
	stop := context.AfterFunc(failed, drain)
	defer stop()
	group.Go(func() error { return source.Start(background) })
	group.Go(func() error {
		return webhook.ServeHealth(background, healthListener, webhook.Health(serving, source.Ready))
	})
	group.Go(func() error {
		if monitor == nil {
			return nil
		}
		return monitor.Start(background)
	})
	group.Go(func() error {
		if others != nil {
			others.Start(background)
		}
		return nil
	})
	group.Go(func() error {
		defer end()
		return webhook.Serve(serving, listener, config, webhook.Handler(log, others, nodes), o.shutdownDelay)
	})
	return group.Wait()
}

// monitor returns the metrics server; nil if there is no API server to authenticate clients with.
func (o *options) monitor(log logr.Logger) (metricsserver.Server, error) {
	serve := telemetry.Options(o.metricsAddress, o.metricsSecure)
	if !o.metricsSecure || o.metricsAddress == "0" {
		return metricsserver.NewServer(serve, nil, nil)
	}
	config, err := apiServer()
	if unreachable(err) {
		log.Info("No token and no --kubeconfig: metrics are not served; --metrics-secure=false serves them to all clients, over HTTP")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding the API server for metrics (set --kubeconfig, or run in a cluster): %w", err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("finding the API server for metrics: %w", err)
	}
	return metricsserver.NewServer(serve, config, client)
}

// source returns the source of the certificate: files if they are set, else the Secret.
func (o *options) source() (certs.Source, error) {
	if o.certFile != "" || o.keyFile != "" {
		return certs.FromFiles(o.certFile, o.keyFile)
	}
	namespace, name, ok := strings.Cut(o.secret, "/")
	if !ok || namespace == "" || name == "" {
		return nil, fmt.Errorf("--tls-secret=%s: set namespace/name, or set --tls-cert-file and --tls-private-key-file", o.secret)
	}
	config, err := apiServer()
	if err != nil {
		return nil, fmt.Errorf("finding the API server for the Secret of the certificate (set --kubeconfig, or run in a cluster): %w", err)
	}
	return certs.NewSecretSource(config, namespace, name)
}

func (o *options) requireClients(config *tls.Config) error {
	var names []string
	if o.clientNames != "" {
		names = strings.Split(o.clientNames, ",")
	}
	if o.clientCAFile == "" {
		if len(names) > 0 {
			return errors.New("--client-allowed-names are names in certificates: set --client-ca-file to check them")
		}
		return nil
	}
	return webhook.RequireClients(config, o.clientCAFile, names)
}

// ofCluster returns the DaemonSets with which selectors are compared, and the nodes with which surges are compared. Without --kubeconfig
// and a service account's token both are nil, and these warnings are unavailable.
func ofCluster(log logr.Logger) (*webhook.Others, *webhook.Nodes, error) {
	config, err := apiServer()
	if unreachable(err) {
		log.Info("No token and no --kubeconfig: there are no warnings about other DaemonSets' selectors and the room on nodes")
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("finding the API server (set --kubeconfig, or run in a cluster): %w", err)
	}
	others, err := webhook.WatchOthers(config)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := webhook.NewNodes(config)
	return others, nodes, err
}

// unreachable reports whether there is neither --kubeconfig nor a service account's token.
func unreachable(err error) bool {
	return errors.Is(err, rest.ErrNotInCluster) || errors.Is(err, fs.ErrNotExist)
}

// apiServer uses --kubeconfig, the flag of controller-runtime, else the pod's own service account. It ignores
// default kubeconfig files.
func apiServer() (*rest.Config, error) {
	if file := flag.Lookup("kubeconfig").Value.String(); file != "" {
		return clientcmd.BuildConfigFromFlags("", file)
	}
	return rest.InClusterConfig()
}
