// Command certmanager is the real cert-manager as one program, for a cluster that cannot pull cert-manager's
// own images: its controllers and its cainjector, as test/certs/certmanager runs them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/test/certs/certmanager"
)

func main() {
	log.SetLogger(logr.Discard()) // cert-manager's own log is klog's
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	return certmanager.Run(ctx, "", config) // the controllers find the cluster as config did
}
