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

// The API server gives the webhook three seconds; a connection that is slower than that, or
// that nobody has used for minutes, is closed.
const (
	headerTimeout = 3 * time.Second
	requestLimit  = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// headerLimit is far above what the API server sends, which is a few hundred bytes.
	headerLimit = 16 << 10
	// streamLimit is how many requests a connection may carry at a time; the API server's client opens
	// another one for more.
	streamLimit = 250
	// windowLimit is how much of the bodies on a connection is received before a handler reads it.
	windowLimit = 256 << 10
	// drainLimit is how long requests that are under way may take after the last one was taken.
	drainLimit = 10 * time.Second
)

// Serve answers on listener over TLS until ctx ends. It goes on for delay after that, new connections
// included: readiness fails at once (Health), but endpoints and whoever balances by them take
// time to learn it, and until then the API server sends requests here. Then it takes no more, and
// finishes those that are under way.
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
