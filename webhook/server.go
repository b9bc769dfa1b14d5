package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The API server gives the webhook three seconds; a connection that is slower than that, or
// that nobody has used for minutes, is closed.
const (
	headerTimeout = 3 * time.Second
	requestLimit  = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// drainLimit is how long requests that are under way may take after the stop.
	drainLimit = 10 * time.Second
)

// Handler serves the placement webhook at PlacementPath.
func Handler(log logr.Logger) (http.Handler, error) {
	hook, err := admission.StandaloneWebhook(
		&admission.Webhook{Handler: placement{}},
		admission.StandaloneOptions{Logger: log, MetricsPath: PlacementPath})
	if err != nil {
		return nil, fmt.Errorf("making the placement webhook: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+PlacementPath, hook)
	return mux, nil
}

// Serve answers on listener over TLS until ctx ends; requests that are under way then are
// finished.
func Serve(ctx context.Context, listener net.Listener, config *tls.Config, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestLimit,
		WriteTimeout:      requestLimit,
		IdleTimeout:       idleTimeout,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the webhook: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		return server.Shutdown(drain)
	})
	return group.Wait()
}
