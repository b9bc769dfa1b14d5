package status

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// unserved returns a daemon that cannot be served, and why; nil for any other.
func (r *Reconciler) unserved(key daemon.WorkloadKey) (workload *daemon.Workload, problem daemon.Problem) {
	r.state.Update(func(u model.Update) { workload, problem = u.Unserved(key) })
	return workload, problem
}

// reportUnserved writes the conditions of a daemon that is not served, and an event if its problem differs from
// its status. It uses a patch, because an update would also send the partially decoded spec. The numbers stay
// those of the last served state.
func (r *Reconciler) reportUnserved(ctx context.Context, workload *daemon.Workload, problem daemon.Problem) (reconcile.Result, error) {
	status := daemon.UnservedStatus(workload, problem, r.state.Now())
	if equality.Semantic.DeepEqual(workload.Status, status) {
		return reconcile.Result{}, nil
	}
	r.note(workload.Key)
	patch, err := workload.StatusPatch(&status)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("the status of DaemonSet %s/%s: %w", workload.Key.Namespace, workload.Name, err)
	}
	err = r.client.Status().Patch(ctx, workload.Metadata(), client.RawPatch(types.MergePatchType, patch))
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: retryConflict}, nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("writing the status of DaemonSet %s/%s, which cannot be served: %w", workload.Key.Namespace, workload.Name, err)
	}
	before := meta.FindStatusCondition(workload.Status.Conditions, v1alpha1.ConditionDegraded)
	after := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
	if before == nil || before.Status != after.Status || before.Reason != after.Reason || before.Message != after.Message {
		r.events.Eventf(workload.Metadata(), nil, corev1.EventTypeWarning, after.Reason, actionServe, "%s", after.Message)
	}
	return reconcile.Result{}, nil
}

// actionServe is the action of events about a DaemonSet as a whole.
const actionServe = "ServeDaemonSet"
