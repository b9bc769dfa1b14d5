package kind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// views are kubectl commands for the diagnostics of a failure, by file name.
var views = map[string][]string{
	"nodes.txt":      {"describe", "nodes"},
	"pods.txt":       {"get", "pods", "--all-namespaces", "--output=wide"},
	"pods.yaml":      {"get", "pods", "--all-namespaces", "--output=yaml"},
	"daemonsets.txt": {"get", "daemonsets.apps,daemonsets.everynode.dev", "--all-namespaces", "--output=yaml"},
	"events.txt":     {"get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"},
	"everynode.txt":  {"describe", "all", "--namespace=" + Namespace},
}

// Collect writes diagnostics into a folder of the cluster's folder: kind's logs (kubelets, containers), pods,
// events. It fails only if none could be collected.
func (c *Cluster) Collect(ctx context.Context, name string) error {
	dir := c.LogsOf(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, failed := c.run(ctx, "", "kind", "export", "logs", filepath.Join(dir, "kind"))
	for file, args := range views {
		text, err := c.Kubectl(ctx, args...)
		if err != nil {
			text = err.Error()
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// LogsOf returns the folder that Collect writes to.
func (c *Cluster) LogsOf(name string) string {
	return filepath.Join(c.Dir, "logs", filepath.FromSlash(name))
}
