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
	"github.com/everynode/everynode/internal/daemon"
)

// Kinds are the kinds of DaemonSets that are served. Inside the engine both are a
// v1alpha1.DaemonSet: a native one is translated as it comes in (CacheOptions) and as its status
// goes out.
type Kinds struct {
	Everynode bool // everynode.dev
	Apps      bool // apps/v1, in place of kube-controller-manager's controller
}

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

// owns says whether a daemon of a served kind controls an object.
func (k Kinds) owns(object metav1.Object) bool {
	owner, owned := daemon.OwnedByDaemon(object)
	return owned && (k.Apps && daemon.Native(owner) || k.Everynode && !daemon.Native(owner))
}

// objects are the kinds to watch.
func (k Kinds) objects() []client.Object {
	var objects []client.Object
	if k.Everynode {
		objects = append(objects, &readSet{})
	}
	if k.Apps {
		objects = append(objects, &appsv1.DaemonSet{})
	}
	return objects
}

// watched are the kinds that have a cache, by the types that they are decoded into.
func (k Kinds) watched() []client.Object {
	return append(k.objects(), &leanPod{}, &leanNode{}, &appsv1.ControllerRevision{}, &corev1.Namespace{}, &corev1.ResourceQuota{}, &schedulingv1.PriorityClass{})
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
