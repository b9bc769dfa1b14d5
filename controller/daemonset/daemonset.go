// Package daemonset asks the API server about DaemonSets, of whichever kind they are.
package daemonset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/internal/daemon"
)

// Exists reads from the API server, not the cache, whether a DaemonSet exists and is not terminating: objects that
// a terminating DaemonSet adopts are deleted with it.
func Exists(ctx context.Context, reader client.Reader, w *daemon.Workload) (bool, error) {
	var fresh metav1.PartialObjectMetadata
	fresh.SetGroupVersionKind(w.Kind.GroupVersionKind())
	err := reader.Get(ctx, client.ObjectKey{Namespace: w.Key.Namespace, Name: w.Name}, &fresh)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading DaemonSet %s/%s: %w", w.Key.Namespace, w.Name, err)
	}
	return fresh.UID == w.Key.UID && fresh.DeletionTimestamp == nil, nil
}
