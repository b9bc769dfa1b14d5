package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A release is a Helm release on a lab. Pods are simulated and run nothing: the tests verify that
// the API server accepts every object, that all pods can be created, and that helm changes what it should.
type release struct{ *labtest.Cluster }

func (r release) helm(args ...string) {
	r.T.Helper()
	command := exec.CommandContext(r.T.Context(), helmPath(r.T.(*testing.T)), append(args, "--namespace", v1alpha1.SystemNamespace, "--kubeconfig", r.Kubeconfig)...)
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+r.Dir, "HELM_CONFIG_HOME="+r.Dir, "HELM_DATA_HOME="+r.Dir)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		r.T.Fatalf("helm %s: %v: %s", strings.Join(args, " "), err, out.String())
	}
}

// manual runs the first commands below a heading of the manual, verbatim, as in the root of a clone.
func (r release) manual(heading string) {
	r.T.Helper()
	binaries, err := filepath.Abs(root + "/bin")
	r.Must(err)
	command := exec.CommandContext(r.T.Context(), "bash", "-o", "errexit", "-c", r.Commands(manual, heading))
	command.Dir = root
	command.Env = append(os.Environ(), "KUBECONFIG="+r.Kubeconfig, "HELM_CACHE_HOME="+r.Dir, "HELM_CONFIG_HOME="+r.Dir, "HELM_DATA_HOME="+r.Dir,
		"PATH="+strings.Join([]string{filepath.Dir(helmPath(r.T.(*testing.T))), binaries, os.Getenv("PATH")}, string(filepath.ListSeparator)))
	if out, err := command.CombinedOutput(); err != nil {
		r.T.Fatalf("%s, %s: %v: %s", manual, heading, err, out)
	}
}

// columns returns those that kubectl prints for DaemonSets, which the CRD defines.
func (r release) columns() string {
	r.T.Helper()
	out, _, err := r.Kubectl(r.T.Context(), "", "get", "crd", "daemonsets.everynode.dev", "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")
	r.Must(err)
	return out
}

// clear removes what the lab has applied, except for what helm install does not touch.
func (r release) clear() {
	r.T.Helper()
	objects, err := deploy.Objects(deploy.Install)
	r.Must(err)
	for _, object := range objects {
		if kind := object.GetKind(); kind != "CustomResourceDefinition" && kind != "Namespace" {
			r.Must(client.IgnoreNotFound(r.Delete(r.T.Context(), object)))
		}
	}
}

// available waits until all replicas of the Deployments are available.
func (r release) available(names ...string) {
	r.T.Helper()
	for _, name := range names {
		r.Eventually(name+" is available", func(ctx context.Context) (string, error) {
			var deployment appsv1.Deployment
			if err := r.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: name}, &deployment); err != nil {
				return "", err
			}
			status := deployment.Status
			if status.ObservedGeneration < deployment.Generation || status.UpdatedReplicas != *deployment.Spec.Replicas ||
				status.AvailableReplicas != status.UpdatedReplicas || status.Replicas != status.UpdatedReplicas {
				return fmt.Sprintf("%+v", status), nil
			}
			return "", nil
		})
	}
}

// enforce sets the namespace's Pod Security level.
func (r release) enforce(level string) {
	r.T.Helper()
	_, _, err := r.Kubectl(r.T.Context(), "", "label", "namespace", v1alpha1.SystemNamespace, "--overwrite", "pod-security.kubernetes.io/enforce="+level)
	r.Must(err)
}

// has returns which of the objects exist.
func (r release) has(kind schema.GroupVersionKind, name string) bool {
	r.T.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	err := r.Get(r.T.Context(), client.ObjectKey{Name: name}, object)
	r.Must(client.IgnoreNotFound(err))
	return err == nil
}

var (
	webhooks = schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration"}
	policies = schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicy"}
	crds     = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
)

// The life of a release on a real API server, from the install to the uninstall.
func TestRelease(t *testing.T) {
	r := release{labtest.Start(t, lab.Options{Nodes: 2, Placement: lab.PlacementDirect, Without: []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler}})}
	step := func(name string, test func(release)) {
		if !t.Run(name, func(t *testing.T) { test(release{r.With(t)}) }) {
			t.FailNow()
		}
	}
	step("install", func(r release) {
		r.clear()
		r.enforce("restricted")
		r.helm("install", "everynode", chart, "--set", "resourceQuota.enabled=true")
		r.available("everynode-controller", "everynode-webhook", "everynode-scheduler")
	})
	step("a daemon", func(r release) { r.Must(r.Create(r.T.Context(), labtest.DaemonSet("kept"))) })
	step("the CRD of another release", func(r release) {
		want := r.columns()
		_, _, err := r.Kubectl(r.T.Context(), "", "patch", "crd", "daemonsets.everynode.dev", "--type=json", `--patch=[{"op":"remove","path":"/spec/versions/0/additionalPrinterColumns/0"}]`)
		r.Must(err)
		if r.columns() == want {
			r.T.Fatal("the CRD was not changed")
		}
		r.manual("## Upgrade")
		if got := r.columns(); got != want {
			r.T.Errorf("columns of the CRD after the upgrade in the manual: %q, want %q", got, want)
		}
		r.Must(r.Get(r.T.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: "kept"}, &v1alpha1.DaemonSet{}))
	})
	step("helm does not manage caBundle", func(r release) {
		const trust = `[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}]`
		_, _, err := r.Kubectl(r.T.Context(), "", "patch", "mutatingwebhookconfiguration", "everynode-placement", "--type=json", "--patch="+trust)
		r.Must(err)
		r.upgrade("webhook.replicas=3")
		r.available("everynode-webhook")
		out, _, err := r.Kubectl(r.T.Context(), "", "get", "mutatingwebhookconfiguration", "everynode-placement", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		r.Must(err)
		if out == "" {
			r.T.Error("an upgrade removed the CA that the controller had written")
		}
	})
	step("policies place", func(r release) {
		r.upgrade("placement.admission=policy")
		if r.has(webhooks, "everynode-placement") || !r.has(policies, "everynode-placement") {
			r.T.Error("the webhook still exists, or the policy does not")
		}
	})
	step("the webhook again, with files", func(r release) {
		r.upgrade("placement.admission=webhook", "certificates.source=files", "certificates.secretName=mine")
		if !r.has(webhooks, "everynode-placement") || r.has(policies, "everynode-placement") {
			r.T.Error("the policy still exists, or the webhook does not")
		}
	})
	step("in place of kube-scheduler, for native DaemonSets", func(r release) {
		r.upgrade("scheduler.install=primary", `workloads=everynode\,apps`)
		r.available("everynode-controller", "everynode-scheduler")
	})
	step("before the network", func(r release) {
		r.enforce("privileged")
		_, _, err := r.Kubectl(r.T.Context(), "", "label", "nodes", "--all", "node-role.kubernetes.io/control-plane=")
		r.Must(err)
		r.upgrade("bootstrap.enabled=true")
		r.available("everynode-controller", "everynode-scheduler")
	})
	step("uninstall", func(r release) {
		r.helm("uninstall", "everynode", "--wait=legacy")
		r.Must(r.Get(r.T.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: "kept"}, &v1alpha1.DaemonSet{}))
		if r.has(webhooks, "everynode-placement") || !r.has(crds, "daemonsets.everynode.dev") {
			r.T.Error("helm left the webhook's configuration, or deleted the CRD")
		}
		err := r.Get(r.T.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "everynode-controller"}, &appsv1.Deployment{})
		if !apierrors.IsNotFound(err) {
			r.T.Errorf("the controller's Deployment: %v, want it deleted", err)
		}
	})
	step("without Helm", func(r release) {
		r.enforce("restricted")
		r.manual("## Without Helm")
		r.available("everynode-controller", "everynode-webhook", "everynode-scheduler")
		r.manual("### Without Helm")
		r.Must(r.Get(r.T.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: "kept"}, &v1alpha1.DaemonSet{}))
		objects, err := deploy.Objects(deploy.Install)
		r.Must(err)
		for _, object := range objects {
			err := r.Get(r.T.Context(), client.ObjectKeyFromObject(object), object)
			r.Must(client.IgnoreNotFound(err))
			if left := err == nil; left != (object.GetKind() == "CustomResourceDefinition") {
				r.T.Errorf("%s %s exists: %t; want only the CRD to remain", object.GetKind(), object.GetName(), left)
			}
		}
	})
}

// upgrade changes values of the release and keeps the others.
func (r release) upgrade(assignments ...string) {
	r.T.Helper()
	r.helm(append([]string{"upgrade", "everynode", chart, "--reset-then-reuse-values"}, setting(assignments...)...)...)
}
