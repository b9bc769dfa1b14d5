// Command conformance runs the DaemonSet cases of Kubernetes' own end-to-end suite against a lab or any other
// cluster, and prints the result of each. It exits with status 1 if a case failed, if the suite has a case that
// cases.go does not list, or if the pods of DaemonSets were created by another controller than the one under
// test.
//
// hack/conformance.sh builds the suite, prepares the cluster, and calls this.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/everynode/everynode/test/lab"
)

const (
	// startLimit and stopLimit bound the lab's start and stop.
	startLimit = 2 * time.Minute
	stopLimit  = 40 * time.Second
)

// controllers are those that can be tested, with their names in the API server.
var controllers = map[string]string{
	"everynode": "everynode-controller",
	"builtin":   "kube-controller-manager",
}

type options struct {
	suite, kubectl, kubeconfig, controller, dir string
	nodes                                       int
}

func main() {
	var o options
	flag.StringVar(&o.suite, "suite", "", "the suite's program, built by hack/build-conformance.sh")
	flag.StringVar(&o.kubectl, "kubectl", "bin/kubectl", "kubectl, which some cases call")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "the cluster to run against; without it a lab is started")
	flag.StringVar(&o.controller, "controller", "everynode", "controller under test: everynode, or builtin to verify the harness")
	flag.StringVar(&o.dir, "dir", ".conformance", "folder for the lab and for one log per case")
	flag.IntVar(&o.nodes, "nodes", 3, "number of the lab's nodes; the suite wants two or more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if controllers[o.controller] == "" {
		return fmt.Errorf("--controller=%s is unknown: use everynode or builtin", o.controller)
	}
	s, err := newSuite(o)
	if err != nil {
		return err
	}
	found, err := s.list(ctx)
	if err != nil {
		return err
	}
	chosen, err := match(cases, found)
	if err != nil {
		return err
	}
	if o.kubeconfig != "" {
		for i := range chosen {
			chosen[i].lab = ""
		}
		return try(ctx, s, chosen, controllers[o.controller], out)
	}
	l, err := startLab(ctx, o)
	if err != nil {
		return err
	}
	s.kubeconfig = l.Kubeconfig
	err = try(ctx, s, chosen, controllers[o.controller], out)
	stopping, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return errors.Join(err, l.Stop(stopping))
}

// startLab starts a lab whose DaemonSets of apps/v1 are served by the controller under test.
func startLab(ctx context.Context, o options) (*lab.Lab, error) {
	settings := lab.Options{Nodes: o.nodes, Workloads: lab.WorkloadsApps, Dir: filepath.Join(o.dir, "lab")}
	if o.controller == "builtin" {
		settings.Workloads, settings.Placement = lab.WorkloadsEverynode, lab.PlacementDirect
		settings.Without = []string{lab.Controller, lab.EverynodeScheduler}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the lab did not start within %s", startLimit))
	defer cancel()
	return lab.New(ctx, settings)
}

// try runs the cases one after the other, in the suite's order, and prints each result.
func try(ctx context.Context, s *suite, chosen []testCase, controller string, out io.Writer) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // ends the watch before the cluster
	defer cancel()
	pods, err := countMakers(ctx, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-8s %7s  CASE\n", "RESULT", "TIME")
	failed := 0
	for _, c := range chosen {
		got := s.run(ctx, c)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got.state != passed {
			failed++
		}
		fmt.Fprintf(out, "%-8s %5.0f s  %s\n", got.state, got.took.Seconds(), c.name)
		for _, remark := range []string{got.why, c.lab} {
			if remark != "" {
				fmt.Fprintf(out, "%18s%s\n", "", remark)
			}
		}
	}
	fmt.Fprintf(out, "\npods of DaemonSets were created by %s; one log per case in %s\n", pods, s.dir)
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d cases did not pass", failed, len(chosen))
	case !slices.Equal(pods.names(), []string{controller}):
		return fmt.Errorf("the pods should have been created only by %s: the cases prove nothing about it", controller)
	}
	return nil
}
