// Command demo shows Everynode's main job on a fresh lab, step by step: each action, its expected results and
// the observed ones. It exits with status 1 if an expectation is not met.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/test/lab"
)

const (
	// startLimit and stopLimit bound the lab's start and stop.
	startLimit = 2 * time.Minute
	stopLimit  = 40 * time.Second
	nodes      = 4
)

func main() {
	log.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	begun := time.Now()
	fmt.Printf("Starting a control plane on loopback, with Everynode and %d simulated nodes …\n", nodes)
	starting, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the lab did not start within %s", startLimit))
	defer cancel()
	l, err := lab.New(starting, lab.Options{Nodes: nodes})
	if err != nil {
		return err
	}
	err = show(ctx, l)
	stopping, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := errors.Join(err, l.Stop(stopping)); err != nil {
		return err
	}
	fmt.Printf("\nEvery expectation was met, in %.0f s. All processes have ended.\n", time.Since(begun).Seconds())
	return nil
}

func show(ctx context.Context, l *lab.Lab) error {
	fmt.Println()
	if err := l.Describe(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nready in %.1f s\n", l.StartTime.Seconds())
	objects, err := l.Objects()
	if err != nil {
		return err
	}
	return narrate(ctx, os.Stdout, story(&stage{Lab: l, Client: objects}))
}
