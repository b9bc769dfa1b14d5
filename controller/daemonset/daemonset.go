// Package daemonset addresses DaemonSets at the API server, of whichever kind they are.
package daemonset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Object returns a DaemonSet in its own kind.
func Object(set *v1alpha1.DaemonSet) client.Object {
	if set.Native() {
		return set.ToApps()
	}
	return set
}

// Metadata returns an object for patching a DaemonSet whose answer must not be decoded as a whole, because it may be
// undecodable by then.
func Metadata(set *v1alpha1.DaemonSet) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name}}
	object.SetGroupVersionKind(set.GVK())
	return object
}

// Exists asks the API server, not the cache, whether a DaemonSet exists and is not terminating: objects that a
// terminating DaemonSet adopts are deleted with it.
func Exists(ctx context.Context, reader client.Reader, set *v1alpha1.DaemonSet) (bool, error) {
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
