package placement

import (
	"context"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A DaemonSet that was stored while the webhook was unreachable, and that it cannot decode, can be labelled, corrected
// in steps and deleted in the foreground when the webhook works again. Here the CRD accepts everything, as an
// older one did, so only the webhook validates.
func TestWhatIsStoredCanBeCorrectedAndDeleted(t *testing.T) {
	c := labtest.Start(t, lab.Options{Without: []string{lab.Scheduler, lab.Kwok, lab.Controller, lab.EverynodeScheduler}})
	relaxCRD(c)
	unreadable := func(name string) *unstructured.Unstructured {
		set := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
			"selector":             map[string]any{"matchLabels": map[string]any{"app": name}},
			"revisionHistoryLimit": int64(5000000000),
			"updateStrategy":       map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxUnavailable": int64(5000000000)}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": name}}, "spec": map[string]any{
				"containers": []any{map[string]any{"name": "main", "image": "pause:3"}}}},
		}}}
		set.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DaemonSet"))
		set.SetNamespace(labtest.Namespace)
		set.SetName(name)
		return set
	}
	c.Eventually("the relaxed schema is in effect, and the webhook refuses what it cannot decode", func(ctx context.Context) (string, error) {
		err := c.Create(ctx, unreadable("probe"), client.DryRunAll)
		if err != nil && apierrors.IsInvalid(err) && len(causes(err)) == 2 {
			return "", nil
		}
		return "the answer is " + errText(err), nil
	})
	corrected, deleted := unreadable("corrected"), unreadable("deleted")
	c.Must(c.Component(lab.Webhook).Pause())
	c.Must(c.Create(t.Context(), corrected))
	c.Must(c.Create(t.Context(), deleted))
	c.Must(c.Component(lab.Webhook).Resume())
	c.Must(c.Component(lab.Webhook).Ready(t.Context()))

	for _, patch := range []string{
		`{"metadata":{"labels":{"a":"b"},"finalizers":["example.com/hold"]}}`,
		`{"metadata":{"finalizers":null}}`,
		`{"spec":{"minReadySeconds":1}}`,
		`{"spec":{"revisionHistoryLimit":1}}`,
		`{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":1}}}}`,
	} {
		if err := c.Patch(t.Context(), corrected, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Errorf("patch %s: %v", patch, err)
		}
	}
	if err := c.Patch(t.Context(), corrected, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revisionHistoryLimit":5000000000}}`))); !apierrors.IsInvalid(err) {
		t.Errorf("reverting a correction: %v, want a refusal", err)
	}
	c.Must(c.Delete(t.Context(), deleted, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	c.Eventually("the other one is gone", func(ctx context.Context) (string, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(deleted), deleted)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it still exists", err
	})
}

// relaxCRD makes the API server accept any spec.
func relaxCRD(c *labtest.Cluster) {
	c.T.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	crd.SetName("daemonsets." + v1alpha1.GroupName)
	c.Must(c.Patch(c.T.Context(), crd, client.RawPatch("application/json-patch+json", []byte(
		`[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec","value":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}]`))))
}

func causes(err error) []metav1.StatusCause {
	if status, ok := err.(apierrors.APIStatus); ok && status.Status().Details != nil {
		return status.Status().Details.Causes
	}
	return nil
}

func errText(err error) string {
	if err == nil {
		return "yes"
	}
	return err.Error()
}
