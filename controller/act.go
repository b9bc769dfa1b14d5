package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// Reasons of events. Successes and failures have the names that apps/v1 gives them.
const (
	eventCreated   = "SuccessfulCreate"
	eventDeleted   = "SuccessfulDelete"
	eventFailed    = "FailedCreate"
	eventNameTaken = "PodNameTaken"
)

// Actions of events: what the controller was doing.
const (
	actionCreate = "CreatePod"
	actionDelete = "DeletePod"
	actionPlace  = "PlacePods"
)

// A pod that the API server does not take is tried again after 1 s, doubling to 15 min (S8); an
// API server that gives no answer about it, after 0.1 s, doubling to 10 s.
const (
	firstRefused, lastRefused = time.Second, 15 * time.Minute
	firstRetry, lastRetry     = 100 * time.Millisecond, 10 * time.Second
)

// actor keeps cells up: it plans one and does what the plan says.
type actor struct {
	world  *world
	client client.Client
	reader client.Reader // of the API server, not of the cache
	placer *placer
	events events.EventRecorder
	// unanswered counts, for each cell, the requests in a row that got no answer.
	unanswered workqueue.TypedRateLimiter[CellKey]
}

var _ reconcile.TypedReconciler[CellKey] = (*actor)(nil)

// refused delays a cell's next try after the API server refused its pod.
func refused() workqueue.TypedRateLimiter[CellKey] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[CellKey](firstRefused, lastRefused)
}

func unanswered() workqueue.TypedRateLimiter[CellKey] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[CellKey](firstRetry, lastRetry)
}

// Reconcile plans a cell and acts. An error is an answer of the API server that will be the same
// for a while; it costs a growing delay.
func (a *actor) Reconcile(ctx context.Context, key CellKey) (reconcile.Result, error) {
	task := a.world.task(key)
	for _, action := range task.Actions {
		err := a.do(ctx, &task, action)
		if err != nil && noAnswer(err) {
			return reconcile.Result{RequeueAfter: a.unanswered.When(key)}, nil
		}
		if err != nil {
			a.unanswered.Forget(key)
			return reconcile.Result{}, err
		}
	}
	a.unanswered.Forget(key)
	if task.WakeAt.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(task.WakeAt.Sub(a.world.now()), time.Millisecond)}, nil
}

func (a *actor) do(ctx context.Context, task *task, action daemon.Action) error {
	if action.Op == daemon.Delete {
		return a.delete(ctx, task.object, action)
	}
	return a.create(ctx, task, action)
}

// create makes the pod of a slot. That it is there already is an answer too: within a slot the
// name says so, and the cache will.
func (a *actor) create(ctx context.Context, task *task, action daemon.Action) error {
	pod := daemon.NewPod(task.template, task.node, action.Slot)
	placedBy, err := a.placer.create(ctx, pod)
	switch {
	case err == nil:
		podsCreated.WithLabelValues(placedBy).Inc()
		a.events.Eventf(task.object, nil, corev1.EventTypeNormal, eventCreated, actionCreate,
			"Created pod %s for node %s", pod.Name, task.node.Name)
		return nil
	case apierrors.IsAlreadyExists(err):
		return a.meet(ctx, task.object, pod)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // nothing can be made there any more
	case noAnswer(err):
		return fmt.Errorf("creating pod %s for node %s: %w", pod.Name, task.node.Name, err)
	}
	a.events.Eventf(task.object, nil, corev1.EventTypeWarning, eventFailed, actionCreate,
		"The pod for node %s was not created: %v", task.node.Name, err)
	return fmt.Errorf("creating pod %s for node %s: %w", pod.Name, task.node.Name, err)
}

// meet looks who has the name that a pod of ours needs. Our own pod is no news: the cache does
// not show it yet. Somebody else's has to go before there can be ours.
func (a *actor) meet(ctx context.Context, owner *v1alpha1.DaemonSet, pod *corev1.Pod) error {
	var holder corev1.Pod
	if err := a.reader.Get(ctx, client.ObjectKeyFromObject(pod), &holder); err != nil {
		return fmt.Errorf("looking who has the name of pod %s: %w", pod.Name, err)
	}
	if metav1.IsControlledBy(&holder, owner) {
		return nil
	}
	a.events.Eventf(owner, &holder, corev1.EventTypeWarning, eventNameTaken, actionCreate,
		"The pod for node %s must be called %s, and a pod that this DaemonSet does not control has that name: delete or rename it", pod.Spec.NodeName, pod.Name)
	return fmt.Errorf("pod %s/%s exists and is not controlled by DaemonSet %s", pod.Namespace, pod.Name, owner.Name)
}

// delete removes just the pod that the plan means; one that is gone, or another of the same
// name, is left alone.
func (a *actor) delete(ctx context.Context, owner *v1alpha1.DaemonSet, action daemon.Action) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: action.Pod.Name}}
	err := a.client.Delete(ctx, pod, client.Preconditions{UID: &action.Pod.UID})
	switch {
	case err == nil:
		a.events.Eventf(owner, nil, corev1.EventTypeNormal, eventDeleted, actionDelete,
			"Deleted pod %s: %s", action.Pod.Name, action.Message)
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil
	}
	return fmt.Errorf("deleting pod %s: %w", action.Pod.Name, err)
}

// noAnswer says whether an error tells nothing about the object that was sent: the API server
// was not reached, could not do its work or asks to come back, or admission was not there.
func noAnswer(err error) bool {
	var (
		absent        *notEffectiveError
		contradiction *daemon.ContradictoryPinError
		status        apierrors.APIStatus
	)
	switch {
	case errors.As(err, &absent):
		return true
	case errors.As(err, &contradiction):
		return false
	case !errors.As(err, &status):
		return true
	}
	code := status.Status().Code
	return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusUnauthorized || code == http.StatusNotFound
}
