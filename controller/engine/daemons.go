package engine

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// outside returns a daemon in its own kind.
func outside(set *v1alpha1.DaemonSet) client.Object {
	if set.Native() {
		return set.ToApps()
	}
	return set
}

// stillThere asks the API server, not the cache, whether a daemon exists and is not terminating: objects that a
// terminating daemon adopts are deleted with it.
func stillThere(ctx context.Context, reader client.Reader, set *v1alpha1.DaemonSet) (bool, error) {
	var fresh metav1.PartialObjectMetadata
	fresh.SetGroupVersionKind(set.GVK())
	err := reader.Get(ctx, client.ObjectKeyFromObject(set), &fresh)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading DaemonSet %s/%s: %w", set.Namespace, set.Name, err)
	}
	return fresh.UID == set.UID && fresh.DeletionTimestamp == nil, nil
}
