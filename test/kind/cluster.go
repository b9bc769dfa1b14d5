package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Prefix begins the name of every cluster that this package creates.
const Prefix = "everynode-"

// cleanUpLimit bounds the clean-up after a context has ended.
const cleanUpLimit = 3 * time.Minute

// Options configure a cluster.
type Options struct {
	// Name is the cluster's name, without Prefix. A cluster of that name from a former run is deleted first.
	Name string
	// Shape is the kind of cluster, and how Everynode is installed in it.
	Shape Shape
	// Image is the node image; "" means the one that kind's release was published with.
	Image string
	// Root is the root of Everynode's source tree, which holds bin/ and the chart.
	Root string
	// Dir is the cluster's folder, for its kubeconfig and, when something fails, its logs.
	Dir string
}

// Cluster is a kind cluster.
type Cluster struct {
	// Name is the whole name.
	Name string
	// Kubeconfig is the path of an admin's kubeconfig.
	Kubeconfig string
	// Dir is the cluster's folder.
	Dir string

	root    string
	shape   Shape
	sysctls sysctls
}

// Create creates a cluster and returns when its API server answers; its nodes need not be ready yet. On failure
// only logs remain.
func Create(ctx context.Context, options Options) (*Cluster, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(options.Root)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Name: Prefix + options.Name, Kubeconfig: filepath.Join(dir, "kubeconfig"), Dir: dir, root: root, shape: options.Shape}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := c.deleteNodes(ctx); err != nil { // a former run was killed
		return nil, err
	}
	if c.sysctls, err = readSysctls(); err != nil {
		return nil, err
	}
	args := []string{"create", "cluster", "--retain", "--wait", "0s", "--config", "-"}
	if options.Image != "" {
		args = append(args, "--image", options.Image)
	}
	if _, err := c.run(ctx, options.Shape.config, "kind", args...); err != nil {
		return nil, errors.Join(fmt.Errorf("creating the cluster: %w", err), c.giveUp())
	}
	return c, nil
}

// giveUp keeps the logs of a cluster that failed to start, and deletes it.
func (c *Cluster) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	return errors.Join(c.Collect(ctx, "create"), c.Delete(ctx))
}

// Delete deletes the cluster and restores the kernel parameters that its kubelets set.
func (c *Cluster) Delete(ctx context.Context) error {
	return errors.Join(c.deleteNodes(ctx), c.sysctls.restore())
}

func (c *Cluster) deleteNodes(ctx context.Context) error {
	if !strings.HasPrefix(c.Name, Prefix) {
		return fmt.Errorf("cluster %s was not created by this program: it is not deleted", c.Name)
	}
	_, err := c.run(ctx, "", "kind", "delete", "cluster")
	return err
}

// Config authenticates an admin and has no client-side rate limit.
func (c *Cluster) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// Load loads images, as archives of tools/images, on all nodes.
func (c *Cluster) Load(ctx context.Context, archives ...string) error {
	for i, archive := range archives {
		if !filepath.IsAbs(archive) {
			archives[i] = filepath.Join(c.root, archive)
		}
	}
	_, err := c.run(ctx, "", "kind", append([]string{"load", "image-archive"}, archives...)...)
	return err
}

// Nodes returns the names of the nodes' containers, sorted, which are also the nodes' names.
func (c *Cluster) Nodes(ctx context.Context) ([]string, error) {
	out, err := c.run(ctx, "", "kind", "get", "nodes")
	if err != nil {
		return nil, err
	}
	nodes := strings.Fields(out)
	slices.Sort(nodes)
	return nodes, nil
}

// Exec runs a command on a node and returns its output.
func (c *Cluster) Exec(ctx context.Context, node string, command ...string) (string, error) {
	return c.run(ctx, "", "docker", append([]string{"exec", node}, command...)...)
}

// Restart restarts a node with all its processes.
func (c *Cluster) Restart(ctx context.Context, node string) error {
	_, err := c.run(ctx, "", "docker", "restart", "--time", "10", node)
	return err
}

// Kubectl runs kubectl as an admin and returns its output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, "", "kubectl", args...)
}

// Shell runs a script in the root of the source tree, which may call kind, kubectl, helm and make, and returns
// its output. It stops at the first command that fails.
func (c *Cluster) Shell(ctx context.Context, script string) (string, error) {
	return c.run(ctx, "", "bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c", script)
}

// upLimit bounds each wait for a component of the cluster.
const upLimit = "--timeout=240s"

// AwaitNetwork waits until all nodes are ready and the cluster's DNS works, which kind does not wait for.
func (c *Cluster) AwaitNetwork(ctx context.Context) error {
	if _, err := c.Kubectl(ctx, "wait", "--for=condition=Ready", "nodes", "--all", upLimit); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "--namespace=kube-system", "rollout", "status", "deployment/coredns", upLimit)
	return err
}

// Furnish installs Everynode as the cluster's shape requires, and returns when all of it is ready.
func (c *Cluster) Furnish(ctx context.Context) error {
	if c.shape.Values != nil {
		if err := c.LoadEverynode(ctx); err != nil {
			return err
		}
		if err := c.Install(ctx, c.shape.Values, true); err != nil {
			return err
		}
	}
	if err := c.AwaitNetwork(ctx); err != nil {
		return err
	}
	if !c.shape.native {
		return nil
	}
	_, err := c.Kubectl(ctx, "--namespace=kube-system", "wait", "--for=condition=PlacementAdmission", "daemonsets", "--all", upLimit)
	return err
}
