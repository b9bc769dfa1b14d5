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

// Workloads are the kinds of DaemonSets that are served. Inside the engine both are a
// v1alpha1.DaemonSet: a native one is translated as it comes in (CacheOptions) and as its status
// goes out.
type Workloads struct {
	Everynode bool // everynode.dev
	Apps      bool // apps/v1, in place of kube-controller-manager's controller
}

// The values of ParseWorkloads.
const (
	workloadsEverynode = "everynode"
	workloadsApps      = "apps"
)

// ParseWorkloads reads a list of kinds, separated by commas.
func ParseWorkloads(value string) (Workloads, error) {
	var workloads Workloads
	for name := range strings.SplitSeq(value, ",") {
		switch name {
		case workloadsEverynode:
			workloads.Everynode = true
		case workloadsApps:
			workloads.Apps = true
		default:
			return Workloads{}, fmt.Errorf("workloads %q: %q is unknown: use everynode, apps or everynode,apps", value, name)
		}
	}
	return workloads, nil
}

// owns says whether a daemon of a served kind controls an object.
func (w Workloads) owns(object metav1.Object) bool {
	owner, owned := daemon.OwnedByDaemon(object)
	return owned && (w.Apps && daemon.Native(owner) || w.Everynode && !daemon.Native(owner))
}

// objects are the kinds to watch.
func (w Workloads) objects() []client.Object {
	var objects []client.Object
	if w.Everynode {
		objects = append(objects, &readSet{})
	}
	if w.Apps {
		objects = append(objects, &appsv1.DaemonSet{})
	}
	return objects
}

// watched are the kinds that have a cache, by the types that they are decoded into.
func (w Workloads) watched() []client.Object {
	return append(w.objects(), &leanPod{}, &leanNode{}, &appsv1.ControllerRevision{}, &corev1.Namespace{}, &corev1.ResourceQuota{}, &schedulingv1.PriorityClass{})
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
