package labtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// WaitForAPI waits until the API server serves resources of a group and version, which takes a moment for CRDs.
// kubectl wait cannot do it for a new CRD, whose conditions are null, which it treats as an error.
func (c *Cluster) WaitForAPI(groupVersion string, resources ...string) {
	c.T.Helper()
	c.Eventually(groupVersion+" is served", func(context.Context) (string, error) {
		list, err := c.API.Discovery().ServerResourcesForGroupVersion(groupVersion)
		if err != nil {
			return "", err
		}
		for _, name := range resources {
			if !slices.ContainsFunc(list.APIResources, func(served metav1.APIResource) bool { return served.Name == name }) {
				return name + " are not", nil
			}
		}
		return "", nil
	})
}

// WaitForConfinement waits until the API server applies each of the policies that confine the controller's
// token. It learns of policies and bindings by watches, so one that is effective does not imply the next.
func (c *Cluster) WaitForConfinement(thief client.Client) {
	c.T.Helper()
	pod := Emitted()
	pod.OwnerReferences, pod.Name = nil, "confined"
	pod.Spec.NodeName, pod.Spec.SchedulingGates = "", nil
	c.Make(pod)
	note := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"example.com/note":"x"}}}`))
	deeds := map[string]func(context.Context) error{
		"everynode-controller-creates": func(ctx context.Context) error {
			another := pod.DeepCopy()
			another.ObjectMeta = metav1.ObjectMeta{Namespace: pod.Namespace, GenerateName: "confined-"}
			return thief.Create(ctx, another, client.DryRunAll)
		},
		"everynode-controller-changes": func(ctx context.Context) error {
			return thief.Patch(ctx, pod.DeepCopy(), note, client.DryRunAll)
		},
		"everynode-controller-deletes": func(ctx context.Context) error {
			return thief.Delete(ctx, pod.DeepCopy(), client.DryRunAll)
		},
		"everynode-controller-secrets": func(ctx context.Context) error {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "confined"}}
			return thief.Create(ctx, secret, client.DryRunAll)
		},
	}
	for policy, deed := range deeds {
		c.Eventually(policy+" is served", func(ctx context.Context) (string, error) {
			if err := deed(ctx); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") {
				return fmt.Sprintf("answered %v, not with its refusal", err), nil
			}
			return "", nil
		})
	}
	c.Must(c.Delete(c.T.Context(), pod, client.GracePeriodSeconds(0)))
}
