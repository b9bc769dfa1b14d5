package kind

import (
	"context"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

const (
	// Namespace is where the chart is installed.
	Namespace = "everynode-system"
	// Release is the name of the Helm release.
	Release = "everynode"
	// chart is the chart's folder in the source tree.
	chart = "deploy/chart/everynode"
	// installLimit bounds the wait for an install, on a busy machine.
	installLimit = "5m"
)

// LoadEverynode loads the images that make images built.
func (c *Cluster) LoadEverynode(ctx context.Context) error {
	archives, err := filepath.Glob(filepath.Join(c.root, "bin", "image", "everynode-*.tar"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return fmt.Errorf("there are no images of Everynode: run make images")
	}
	return c.Load(ctx, archives...)
}

// Install installs the chart with these values, or upgrades the release, and waits until all of it is ready
// unless wait is false.
func (c *Cluster) Install(ctx context.Context, values Values, wait bool) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	args := []string{
		"upgrade", Release, chart, "--install", "--namespace", Namespace, "--create-namespace",
		"--values", "-", "--timeout", installLimit,
	}
	if wait {
		args = append(args, "--wait")
	}
	if _, err := c.run(ctx, string(text), "helm", args...); err != nil {
		return fmt.Errorf("installing Everynode: %w", err)
	}
	return nil
}

// Uninstall removes the release.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := c.run(ctx, "", "helm", "uninstall", Release, "--namespace", Namespace, "--wait", "--timeout", installLimit)
	return err
}
