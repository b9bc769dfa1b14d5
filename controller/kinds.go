package controller

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
)

// Kinds are the kinds of DaemonSets that are served.
type Kinds = model.Kinds

// The values of ParseKinds.
const (
	everynodeKind = "everynode"
	appsKind      = "apps"
)

// ParseKinds reads a list of kinds, separated by commas.
func ParseKinds(value string) (Kinds, error) {
	var kinds Kinds
	for name := range strings.SplitSeq(value, ",") {
		switch name {
		case everynodeKind:
			kinds.Everynode = true
		case appsKind:
			kinds.Apps = true
		default:
			return Kinds{}, fmt.Errorf("workloads %q: %q is unknown: use everynode, apps or everynode,apps", value, name)
		}
	}
	return kinds, nil
}

// objectsOf are the kinds to watch.
func objectsOf(k Kinds) []client.Object {
	var objects []client.Object
	if k.Everynode {
		objects = append(objects, &readSet{})
	}
	if k.Apps {
		objects = append(objects, &appsv1.DaemonSet{})
	}
	return objects
}

// watchedBy are the kinds that have a cache, by the types that they are decoded into.
func watchedBy(k Kinds) []client.Object {
	return append(objectsOf(k), &leanPod{}, &leanNode{}, &appsv1.ControllerRevision{}, &corev1.Namespace{}, &corev1.ResourceQuota{}, &schedulingv1.PriorityClass{})
}

// outside is a daemon as the API server knows it.
func outside(set *v1alpha1.DaemonSet) client.Object {
	if set.Native() {
		return set.ToApps()
	}
	return set
}

// stillThere asks the API server, not the cache, whether a daemon is there and not on its way out:
// what a daemon takes that is being deleted is lost.
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
