package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// The API server waits three seconds for the webhook. Slower connections, and those that are idle for minutes,
// are closed.
const (
	headerTimeout = 3 * time.Second
	requestLimit  = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// headerLimit is far above the few hundred bytes that the API server sends.
	headerLimit = 16 << 10
	// streamLimit is the number of concurrent requests on a connection; the API server's client opens another
	// connection for more.
	streamLimit = 250
	// windowLimit is how many bytes of the bodies on a connection are received before a handler reads them.
	windowLimit = 256 << 10
	// drainLimit is how long requests in flight may take after the server stopped accepting new ones.
	drainLimit = 10 * time.Second
)

// Serve answers on listener over TLS until ctx ends. It continues for delay after that, also on new
// connections: readiness fails at once (Health), but the API server sends requests until endpoints and load
// balancers are updated. Then it accepts no more requests, and finishes those in flight.
func Serve(ctx context.Context, listener net.Listener, config *tls.Config, handler http.Handler, delay time.Duration) error {
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestLimit,
		WriteTimeout:      requestLimit,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: streamLimit, MaxReceiveBufferPerConnection: windowLimit, MaxReceiveBufferPerStream: windowLimit,
		},
	}
	group, serving := errgroup.WithContext(context.WithoutCancel(ctx))
	group.Go(func() error {
		if err := server.ServeTLS(limitConnections(listener), "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the webhook: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-serving.Done(): // the listener failed
		case <-ctx.Done():
			select {
			case <-serving.Done():
			case <-time.After(delay):
			}
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		return server.Shutdown(drain)
	})
	return group.Wait()
}
