// Command everynode-webhook serves placement by admission: it turns spec.nodeName of daemon
// pods that are being created into node affinity.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/webhook"
)

type options struct {
	address, healthAddress string
	certFile, keyFile      string
	secret                 string
}

func main() {
	var o options
	flag.StringVar(&o.address, "bind-address", ":9443", "address of the webhook (TLS)")
	flag.StringVar(&o.healthAddress, "health-bind-address", ":9444", "address of /healthz, /readyz and /metrics (HTTP)")
	flag.StringVar(&o.certFile, "tls-cert-file", "", "PEM file of the serving certificate and its chain, read anew when it changes; without it the certificate is that of --tls-secret")
	flag.StringVar(&o.keyFile, "tls-private-key-file", "", "PEM file of the certificate's private key; read anew when it changes")
	flag.StringVar(&o.secret, "tls-secret", "everynode-system/"+certs.LeafSecret, "Secret of the serving certificate, as namespace/name, which is followed; for when no files are named")
	klog.InitFlags(nil)
	flag.Parse()
	log := klog.Background()
	ctrl.SetLogger(log)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Error(err, "everynode-webhook ends")
		os.Exit(1)
	}
}

// run serves the webhook and its health until ctx ends or one of the two cannot go on.
func run(ctx context.Context, o options) error {
	log := klog.FromContext(ctx)
	source, err := newSource(o)
	if err != nil {
		return err
	}
	handler, err := webhook.Handler(log)
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
	log.Info("serving the placement webhook", "address", listener.Addr(), "health", healthListener.Addr())
	metrics.Registry.MustRegister(certs.NewExpirationCollector(source))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return source.Start(ctx) })
	group.Go(func() error { return webhook.Serve(ctx, listener, certs.ServerConfig(source), handler) })
	group.Go(func() error { return serveHealth(ctx, healthListener, source) })
	return group.Wait()
}

// newSource is where the certificate comes from: the files that are named, or the Secret.
func newSource(o options) (certs.Source, error) {
	if o.certFile != "" || o.keyFile != "" {
		return certs.FromFiles(o.certFile, o.keyFile)
	}
	namespace, name, ok := strings.Cut(o.secret, "/")
	if !ok || namespace == "" || name == "" {
		return nil, fmt.Errorf("--tls-secret=%s: give namespace/name, or name files by --tls-cert-file and --tls-private-key-file", o.secret)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server, for the Secret of the certificate (--kubeconfig, or run in a cluster): %w", err)
	}
	return certs.NewSecretSource(config, namespace, name)
}

// serveHealth is ready as long as it serves and there is a certificate: the webhook's listener is
// open before it is called, and it ends first when ctx does.
func serveHealth(ctx context.Context, listener net.Listener, source certs.Source) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := source.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(drain)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health: %w", err)
	}
	return nil
}
