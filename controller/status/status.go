package status

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// actionReport is the action of events about status.
const actionReport = "ReportStatus"

// retryConflict is when a status is compared again whose write met a conflict. The event of the change does that long before, if there
// is one: admission may answer so too.
const retryConflict = time.Minute

// statusInterval is the minimum time between two status writes of a daemon.
const statusInterval = time.Second

// Deps are a Reconciler's dependencies.
type Deps struct {
	State    *state.State
	Client   client.Client
	Placer   *placement.Placer
	Budgets  *Budgets
	Recorder events.EventRecorder
}

// Reconciler writes the status of daemons: at most once a second, and only changes.
type Reconciler struct {
	state   *state.State
	client  client.Client
	placer  *placement.Placer
	budgets *Budgets
	events  events.EventRecorder

	mu      sync.Mutex
	written map[daemon.WorkloadKey]time.Time
}

var _ reconcile.TypedReconciler[daemon.WorkloadKey] = (*Reconciler)(nil)

// New returns a Reconciler that has not written any status.
func New(deps Deps) *Reconciler {
	return &Reconciler{
		state: deps.State, client: deps.Client, placer: deps.Placer, budgets: deps.Budgets, events: deps.Recorder,
		written: map[daemon.WorkloadKey]time.Time{},
	}
}

// Reconcile compares a daemon's counters with its status, if a write is due. A conflict usually means that the daemon
// changed in the meantime, which triggers another call.
func (r *Reconciler) Reconcile(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	if wait := r.Wait(key); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if workload, problem := r.unserved(key); workload != nil {
		return r.reportUnserved(ctx, workload, problem)
	}
	of := &model.HealthOf{Key: key}
	r.state.Run(of)
	workload, health := of.Workload, of.Health
	if workload == nil {
		r.forget(key)
		return reconcile.Result{}, nil
	}
	conditions := slices.Concat(health.Conditions(), r.placer.Condition(), r.budgets.conditions(workload))
	status := daemon.Status(workload, &health, r.state.Now(), conditions...)
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionPlacementAdmission, v1alpha1.ConditionDisruptionBudget} {
		if !slices.ContainsFunc(conditions, func(condition metav1.Condition) bool { return condition.Type == kind }) {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}
	again := reconcile.Result{RequeueAfter: lookAgainIn(&health)}
	if equality.Semantic.DeepEqual(workload.Status, status) {
		return again, nil
	}
	r.note(key)
	err := r.client.Status().Update(ctx, workload.WithStatus(&status))
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: retryConflict}, nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("writing the status of DaemonSet %s/%s: %w", workload.Key.Namespace, workload.Name, err)
	}
	r.reportBudgets(workload, status.Conditions)
	return again, nil
}

// lookAgainIn returns when a status changes without an event; 0 if it does not.
func lookAgainIn(health *daemon.Health) time.Duration {
	if at := health.LookAgain(); !at.IsZero() {
		return at.Sub(health.Now)
	}
	return 0
}

// reportBudgets reports changes of the condition DisruptionBudget by an event.
func (r *Reconciler) reportBudgets(former *daemon.Workload, conditions []metav1.Condition) {
	now, before := meta.FindStatusCondition(conditions, v1alpha1.ConditionDisruptionBudget), meta.FindStatusCondition(former.Status.Conditions, v1alpha1.ConditionDisruptionBudget)
	if now != nil && (before == nil || before.Message != now.Message) {
		r.events.Eventf(former.Metadata(), nil, corev1.EventTypeWarning, now.Reason, actionReport, "%s", now.Message)
	}
}

// Wait returns the time until a daemon's status may be written; 0 or less means now.
func (r *Reconciler) Wait(key daemon.WorkloadKey) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written[key].Add(statusInterval).Sub(r.state.Now())
}

// note records that a daemon's status is written now.
func (r *Reconciler) note(key daemon.WorkloadKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[key] = r.state.Now()
}

func (r *Reconciler) forget(key daemon.WorkloadKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, key)
}
