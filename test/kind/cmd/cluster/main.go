// Command cluster creates a kind cluster with Everynode, runs a command against it, and deletes it. Without a
// command it keeps the cluster until it is interrupted. KUBECONFIG is set for the command, whose exit status
// becomes this one's.
//
//	cluster --shape=takeover --dir=.cluster -- COMMAND ARGUMENT…
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/everynode/everynode/test/kind"
)

// deleteLimit bounds the clean-up after an interrupt.
const deleteLimit = 5 * time.Minute

type options struct {
	shape, load string
	kind        kind.Options
	command     []string
}

func main() {
	var o options
	shapes := strings.Join(slices.Sorted(maps.Keys(kind.Shapes)), ", ")
	flag.StringVar(&o.kind.Name, "name", "cluster", "the cluster's name, after "+kind.Prefix)
	flag.StringVar(&o.shape, "shape", "beside", "the kind of cluster:  "+shapes)
	flag.StringVar(&o.kind.Image, "image", os.Getenv("KIND_NODE_IMAGE"), "the nodes' image; without it kind's own")
	flag.StringVar(&o.kind.Dir, "dir", ".cluster", "folder for the kubeconfig and, when something fails, logs")
	flag.StringVar(&o.load, "load", "", "more images to load, as archives, separated by commas")
	flag.Parse()
	o.kind.Root, o.command = ".", flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() > 0 {
		os.Exit(failed.ExitCode())
	}
	os.Exit(1)
}

func run(ctx context.Context, o options) (err error) {
	shape, known := kind.Shapes[o.shape]
	if !known {
		return fmt.Errorf("--shape=%s is unknown", o.shape)
	}
	o.kind.Shape = shape
	cluster, err := kind.Create(ctx, o.kind)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
		defer cancel()
		if err != nil {
			err = errors.Join(err, cluster.Collect(ending, "failed"), fmt.Errorf("logs are in %s", cluster.LogsOf("failed")))
		}
		err = errors.Join(err, cluster.Delete(ending))
	}()
	if archives := strings.FieldsFunc(o.load, func(r rune) bool { return r == ',' }); len(archives) > 0 {
		if err := cluster.Load(ctx, archives...); err != nil {
			return err
		}
	}
	if err := cluster.Furnish(ctx); err != nil {
		return err
	}
	if len(o.command) == 0 {
		fmt.Printf("export KUBECONFIG=%s\nCtrl-C deletes the cluster.\n", cluster.Kubeconfig)
		<-ctx.Done()
		return nil
	}
	return attempt(ctx, cluster, o.command)
}

func attempt(ctx context.Context, cluster *kind.Cluster, command []string) error {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig)
	process.Stdin, process.Stdout, process.Stderr = os.Stdin, os.Stdout, os.Stderr
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	if err := process.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}
