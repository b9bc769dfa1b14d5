// Command server runs in the pods of the examples and of end-to-end tests: small servers and clients that talk
// to each other, hold memory, or ignore SIGTERM. It is one program, so that only one image has to be built and
// loaded; the first argument selects its role.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A role is a function of the program. It ends when ctx does.
type role struct {
	usage string
	run   func(ctx context.Context, args []string) error
}

var roles = map[string]role{
	"serve":   {"reports over HTTP its node and its pod", serve},
	"collect": {"collects reports, and shows them", collect},
	"report":  {"reports to a collector", report},
	"ask":     {"queries servers over HTTP repeatedly, and prints their answers", ask},
	"hold":    {"holds memory", hold},
}

const (
	// requestLimit bounds one request.
	requestLimit = 5 * time.Second
	// stopLimit bounds requests in flight after the program is asked to stop.
	stopLimit = 2 * time.Second
)

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if len(os.Args) < 2 || roles[os.Args[1]].run == nil {
		fmt.Fprintln(os.Stderr, "usage: server ROLE [flags]")
		for _, name := range slices.Sorted(maps.Keys(roles)) {
			fmt.Fprintf(os.Stderr, "  %-8s %s\n", name, roles[name].usage)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := roles[os.Args[1]].run(ctx, os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// flags returns a role's own flags; an invalid one exits.
func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ExitOnError) }

// listen serves until ctx ends, and finishes requests in flight.
func listen(ctx context.Context, address string, handler http.Handler) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: requestLimit}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("%s listens on %s", identity(), address)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return server.Shutdown(stopping)
}

// client opens a connection for every request, so that a Service chooses an endpoint each time.
var client = &http.Client{Timeout: requestLimit, Transport: &http.Transport{DisableKeepAlives: true}}

// every calls a function now and at each interval, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// identity returns the pod's identity, which its template passes in environment variables.
func identity() string {
	var words []string
	for _, name := range []string{"NODE", "POD", "REVISION"} {
		if value := os.Getenv(name); value != "" {
			words = append(words, strings.ToLower(name)+"="+value)
		}
	}
	return strings.Join(words, " ")
}
