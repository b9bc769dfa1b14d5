// Command lab runs a lab in the foreground until Ctrl-C or SIGTERM, or until one of its
// components ends by itself.
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
	"strings"
	"syscall"
	"time"

	"github.com/everynode/everynode/test/lab"
)

// stopLimit bounds the whole stop; each component has its own limit of ten seconds.
const stopLimit = 40 * time.Second

func main() {
	options, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := run(ctx, stop, options, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parseFlags(args []string, errOut io.Writer) (lab.Options, error) {
	var options lab.Options
	var without string
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.IntVar(&options.Nodes, "nodes", 5, "number of simulated nodes")
	flags.StringVar(&options.Workloads, "workloads", lab.WorkloadsEverynode, "kinds that Everynode serves: everynode, apps or everynode,apps")
	flags.StringVar(&options.Scheduler, "scheduler", lab.SchedulerSecondary, "how everynode-scheduler is installed: secondary or primary")
	flags.StringVar(&options.Placement, "placement", lab.PlacementAuto, "what places pods: auto, webhook, policy or direct")
	flags.StringVar(&options.Certificates, "certificates", lab.CertificatesFiles, "source of the webhook's certificate: files, self-managed, cert-manager or auto")
	flags.StringVar(&options.Kubernetes, "kubernetes", "", "release of the control plane, such as v1.36.3, built by hack/build-kubernetes.sh; without it that of tools/go.mod")
	flags.StringVar(&options.Dir, "dir", ".lab", "the lab's own folder, for its kubeconfig, keys, data and logs")
	flags.StringVar(&without, "without", "", "components that are not started, separated by commas: "+strings.Join(lab.ComponentNames, ", "))
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fmt.Fprintln(errOut, err)
		return options, err
	}
	if without != "" {
		options.Without = strings.Split(without, ",")
	}
	return options, nil
}

// run starts the lab, prints its components, and stops it when ctx ends. stopSignals restores the default
// handling of signals, so that a second Ctrl-C ends the lab and its processes at once.
func run(ctx context.Context, stopSignals func(), options lab.Options, out io.Writer) error {
	l, err := lab.New(ctx, options)
	if err != nil {
		stopSignals()
		return err
	}
	var ended error
	if err := report(l, out); err != nil {
		ended = err
	} else {
		select {
		case <-ctx.Done():
		case exit := <-l.Exits():
			ended = fmt.Errorf("lab: %w", exit.Err)
		}
	}
	stopSignals()
	fmt.Fprintln(out, "\nstopping the lab")
	stopping, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return errors.Join(ended, l.Stop(stopping))
}

// report prints the components and how to use the lab.
func report(l *lab.Lab, out io.Writer) error {
	if err := l.Describe(out); err != nil {
		return err
	}
	kubeconfig := l.Kubeconfig
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, kubeconfig); err == nil && !strings.HasPrefix(relative, "..") {
			kubeconfig = relative
		}
	}
	_, err := fmt.Fprintf(out, "\nready in %.1f s; logs in %s; Ctrl-C stops it\n\n  bin/kubectl --kubeconfig %s get nodes\n",
		l.StartTime.Seconds(), filepath.Join(filepath.Dir(kubeconfig), "logs"), kubeconfig)
	return err
}
