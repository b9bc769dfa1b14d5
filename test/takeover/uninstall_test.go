package takeover

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Replacing Everynode's programs does not affect daemons. When Everynode is uninstalled, its daemons
// stay, and are handed over or cleaned up as in docs/install.md.
func TestUninstall(t *testing.T) {
	const nodes = 3
	c := labtest.Start(t, lab.Options{Nodes: nodes})
	kept, cleaned := labtest.DaemonSet("kept"), labtest.DaemonSet("cleaned")
	c.Must(c.Create(t.Context(), kept))
	c.Must(c.Create(t.Context(), cleaned))
	for _, set := range []*v1alpha1.DaemonSet{kept, cleaned} {
		c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool { return status.NumberReady == nodes })
	}
	before := identities(c)
	t.Run("upgraded", func(t *testing.T) {
		c := c.With(t)
		for _, name := range []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler} {
			c.Must(c.Component(name).Restart(t.Context()))
		}
		c.WaitForIdle(c.Component(lab.Controller))
		if diff := cmp.Diff(before, identities(c)); diff != "" {
			t.Errorf("pods were restarted (-before, +after):\n%s", diff)
		}
	})
	uninstall(c)

	t.Run("no webhook remains", func(t *testing.T) {
		c := c.With(t)
		pod := labtest.Emitted()
		pod.Spec.SchedulingGates, pod.Spec.NodeName = nil, lab.NodeName(0)
		c.Must(c.Create(t.Context(), pod, client.DryRunAll))
	})
	t.Run("handed over", func(t *testing.T) { handOver(c.With(t), kept, nodes) })
	if diff := cmp.Diff(before, identities(c)); diff != "" {
		t.Errorf("pods were restarted (-before, +after):\n%s", diff)
	}
	t.Run("cleaned up", func(t *testing.T) {
		c := c.With(t)
		_, _, err := c.Kubectl(t.Context(), "", "delete", "customresourcedefinition", "daemonsets.everynode.dev")
		c.Must(err)
		c.Eventually("its pods are deleted", func(ctx context.Context) (string, error) {
			left, err := c.PodsOf(ctx, cleaned)
			return missingUnless(len(left) == 0, "%d pods are left", len(left)), err
		})
	})
}

// handOver replaces a DaemonSet by a native one, which adopts its pods.
func handOver(c *labtest.Cluster, kept *v1alpha1.DaemonSet, nodes int) {
	c.T.Helper()
	c.Must(c.Delete(c.T.Context(), kept, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	c.Eventually("the DaemonSet is deleted, its pods are not", func(ctx context.Context) (string, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(kept), &v1alpha1.DaemonSet{})
		return missingUnless(apierrors.IsNotFound(err), "it still exists: %v", err), client.IgnoreNotFound(err)
	})
	native := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: kept.Namespace, Name: kept.Name}}
	native.Spec = appsv1.DaemonSetSpec{Selector: kept.Spec.Selector, Template: kept.Spec.Template}
	native.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType // it creates its own record of the template
	c.Must(c.Create(c.T.Context(), native))
	c.Eventually("kube-controller-manager serves the daemon", func(ctx context.Context) (string, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(native), native)
		owned, listErr := c.PodsOf(ctx, native)
		return missingUnless(int(native.Status.NumberReady) == nodes && len(owned) == nodes, "%+v, %d pods", native.Status, len(owned)), errors.Join(err, listErr)
	})
}

// identities returns the identities of the existing pods.
func identities(c *labtest.Cluster) map[string]types.UID {
	c.T.Helper()
	var pods corev1.PodList
	c.Must(c.List(c.T.Context(), &pods, client.InNamespace(labtest.Namespace)))
	found := map[string]types.UID{}
	for _, pod := range pods.Items {
		found[pod.Name] = pod.UID
	}
	return found
}

// uninstall deletes the same objects as helm uninstall: all but the CRD and the namespace.
func uninstall(c *labtest.Cluster) {
	c.T.Helper()
	for _, name := range []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler} {
		c.Must(c.Component(name).Stop(c.T.Context()))
	}
	objects, err := deploy.Objects(deploy.Install)
	c.Must(err)
	for _, object := range objects {
		if kind := object.GetKind(); kind != "CustomResourceDefinition" && kind != "Namespace" {
			c.Must(client.IgnoreNotFound(c.Delete(c.T.Context(), object)))
		}
	}
}
