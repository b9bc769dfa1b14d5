// Command server is what runs in the pods of examples and of end-to-end tests: small things that
// talk to each other, that hold memory, and that do not want to end. One program, so that one image
// is built and loaded; the first argument says what it is.
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

// A role is one of the things that the program can be. It ends when ctx does.
type role struct {
	usage string
	run   func(ctx context.Context, args []string) error
}

var roles = map[string]role{
	"serve":   {"says over HTTP on which node and in which pod it runs", serve},
	"collect": {"takes what reporters push, and shows it", collect},
	"report":  {"pushes to a collector that it is there", report},
	"ask":     {"asks servers over HTTP, again and again, and writes what they say", ask},
	"hold":    {"holds memory", hold},
}

const (
	// requestLimit bounds one request.
	requestLimit = 5 * time.Second
	// stopLimit is what requests that are under way have when the program is told to end.
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

// flags are a role's own; a wrong one ends the program.
func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ExitOnError) }

// listen serves until ctx ends, and lets requests that are under way finish.
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

// client opens a connection for every request, so that a Service chooses anew each time.
var client = &http.Client{Timeout: requestLimit, Transport: &http.Transport{DisableKeepAlives: true}}

// every does something now and at each interval, until ctx ends.
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

// identity is what the pod's template says of it by environment variables.
func identity() string {
	var words []string
	for _, name := range []string{"NODE", "POD", "REVISION"} {
		if value := os.Getenv(name); value != "" {
			words = append(words, strings.ToLower(name)+"="+value)
		}
	}
	return strings.Join(words, " ")
}
