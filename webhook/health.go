package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Health serves /healthz, which reports the process only, and /readyz, which reports whether the API server
// should send requests here: it returns ready's error, and fails once ctx, the context of Serve, ends.
func Health(ctx context.Context, ready func() error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := ready()
		if ctx.Err() != nil {
			err = errors.New("stopping: requests are still answered")
		}
		if err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// ServeHealth answers on listener without TLS until ctx ends, which should be after Serve returns.
func ServeHealth(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestLimit, WriteTimeout: requestLimit, MaxHeaderBytes: headerLimit,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(limitConnections(listener)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health: %w", err)
	}
	return nil
}
