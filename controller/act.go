package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
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

	eventTerminating = "NamespaceTerminating"
	eventUnselected  = "SelectorDoesNotMatch"

	eventPodFailed    = "FailedDaemonPod"
	eventPodSucceeded = "SucceededDaemonPod"

	eventFailedDelete = "FailedDelete"
	eventFailedClaim  = "FailedClaim"
	eventClaimed      = "PodClaimed"
)

// Actions of events: what the controller was doing.
const (
	actionCreate = "CreatePod"
	actionDelete = "DeletePod"
	actionPlace  = "PlacePods"
	actionClaim  = "ClaimPod"
)

// A pod that the API server does not take is tried again after 1 s, doubling to 15 min (S8); an
// API server that gives no answer about it, after 0.1 s, doubling to 10 s.
const (
	refusedBackOff, refusedBackOffMax       = time.Second, 15 * time.Minute
	unansweredBackOff, unansweredBackOffMax = 100 * time.Millisecond, 10 * time.Second
)

// reportAfter is how many requests in a row may go without an answer before a condition tells.
const reportAfter = 3

// verifyAfter is when a cell is looked at again whose pod was made. Its event does that long
// before; but when the watch was away and the pod is gone by the time it is back, there is none.
const verifyAfter = time.Minute

// actor keeps cells up: it plans one and does what the plan says.
type actor struct {
	kinds    Kinds
	world    *world
	client   client.Client
	reader   client.Reader // of the API server, not of the cache
	placer   *placer
	gate     *throttle // of creates
	refusals *refusals
	owners   *owners
	events   teller
	// unanswered counts, for each cell, the requests in a row that got no answer.
	unanswered workqueue.TypedRateLimiter[daemon.CellKey]
}

var _ reconcile.TypedReconciler[daemon.CellKey] = (*actor)(nil)

// refused delays what is tried again after the API server refused it, unanswered what it gave no
// answer about; both by key.
func refused[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](refusedBackOff, refusedBackOffMax)
}

func unanswered[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](unansweredBackOff, unansweredBackOffMax)
}

// Reconcile plans a cell and acts. An error is an answer of the API server that will be the same
// for a while; it costs a growing delay.
func (a *actor) Reconcile(ctx context.Context, key daemon.CellKey) (reconcile.Result, error) {
	task := a.world.startTask(key)
	if task.node == nil { // the daemon or the node is gone, and a refused cell comes here once more
		a.refusals.leave(key)
	}
	err := a.doAll(ctx, key, &task)
	a.world.answered(key, task.made, err)
	if err != nil {
		var held *heldBackError
		if errors.As(err, &held) {
			a.world.trouble(key, problemOf(held.because))
			return reconcile.Result{RequeueAfter: held.wait}, nil
		}
		if noAnswer(err) {
			if a.unanswered.NumRequeues(key) >= reportAfter {
				a.world.trouble(key, problemOf(err))
			}
			return reconcile.Result{RequeueAfter: a.unanswered.When(key)}, nil
		}
		a.unanswered.Forget(key)
		a.world.trouble(key, problemOf(err))
		return reconcile.Result{}, err
	}
	a.unanswered.Forget(key)
	a.world.trouble(key, daemon.Problem{})
	return reconcile.Result{RequeueAfter: a.lookAgain(&task)}, nil
}

// doAll does what is due, up to the first thing that fails. Claims come first and alone: when they
// are done the cell is another one, and planned again.
func (a *actor) doAll(ctx context.Context, key daemon.CellKey, task *task) error {
	for _, due := range task.claims {
		if err := a.claim(ctx, task.object, due); err != nil {
			return err
		}
	}
	if len(task.claims) > 0 {
		return nil
	}
	if len(task.Doubts) > 0 {
		return a.settleDoubts(ctx, key, task.Doubts)
	}
	for _, action := range task.Actions {
		if err := a.do(ctx, key, task, action); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain is in how long to look at a cell again although nothing happened; 0: not at all.
func (a *actor) lookAgain(task *task) time.Duration {
	if !task.WakeAt.IsZero() {
		return max(task.WakeAt.Sub(a.world.now()), time.Millisecond)
	}
	if slices.ContainsFunc(task.Actions, func(action daemon.Action) bool { return action.Op == daemon.Create }) {
		return verifyAfter
	}
	return 0
}

func (a *actor) do(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) error {
	if action.Op == daemon.Create {
		return a.create(ctx, cell, task, action)
	}
	deleted, err := a.delete(ctx, cell, task.object, action)
	if deleted {
		a.world.deleted(cell, action.Pod.UID)
	}
	if deleted && action.Reason == daemon.ReasonFinished {
		a.world.replaced(cell)
		a.tellOfEnd(task.object, cell.Node, &action.Pod)
	}
	return err
}

// create makes a pod, under the spare name when somebody else has the first one.
func (a *actor) create(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) error {
	err := a.createAs(ctx, cell, task, action, task.names[0])
	if errors.Is(err, errNameTaken) {
		err = a.createAs(ctx, cell, task, action, task.names[1])
	}
	task.made = err == nil
	var held *heldBackError
	if err == nil || errors.As(err, &held) || noAnswer(err) {
		return err
	}
	a.tellRefused(task.object, task.node.Name, err)
	return err
}

// toldOf is what the event is about that tells why nothing is made for a daemon. A namespace that is
// being deleted takes no events either: then it is about the namespace, and kept in another one.
func toldOf(owner *v1alpha1.DaemonSet, err error) (regarding, related runtime.Object) {
	if terminates(err) {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: owner.Namespace}}, owner
	}
	return owner, nil
}

// terminates says whether nothing can be made because the namespace is being deleted.
func terminates(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// createAs makes a pod. That it is there already is an answer too: its name says that it comes after the same
// pods, and the cache will show it.
func (a *actor) createAs(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action, name string) error {
	pod := daemon.NewPod(task.template, task.node, name)
	if action.Reason == daemon.ReasonSurge {
		daemon.Surge(pod)
	}
	if task.former != "" {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, task.former, errFormer)
	}
	if action.AskOwner {
		if there, err := a.owners.there(ctx, task.object); err != nil || !there {
			return err
		}
	}
	if err := a.gate.enter(ctx); err != nil {
		return err
	}
	if wait, because := a.refusals.mayAsk(cell); because != nil {
		a.gate.leaveUnasked()
		return &heldBackError{wait, because}
	}
	placedBy, err := a.make(ctx, task, pod)
	a.gate.leave(err == nil || !noAnswer(err))
	if err == nil || apierrors.IsAlreadyExists(err) {
		a.world.wake(a.refusals.taken(cell))
	}
	switch {
	case err == nil:
		podsCreated.WithLabelValues(placedBy).Inc()
		a.tellCreated(task.object, task.node.Name, pod, &action)
		return nil
	case apierrors.IsAlreadyExists(err):
		return a.meet(ctx, task.object, pod)
	}
	err = &podError{"creating", pod.Name, task.node.Name, err}
	if about := concernOf(err); about == concernsDaemon || about == concernsNode {
		a.refusals.note(cell, err, about)
	}
	return err
}

// make stores a pod, when the daemon's selector matches it as it is emitted, and still does as it is stored. One that
// it does not match would be released as soon as it is seen, and another one made (S8).
func (a *actor) make(ctx context.Context, task *task, pod *corev1.Pod) (placedBy string, err error) {
	if !task.selector.Matches(labels.Set(pod.Labels)) {
		return "", errUnselected
	}
	placedBy, err = a.placer.create(ctx, pod)
	if err != nil || task.selector.Matches(labels.Set(pod.Labels)) {
		return placedBy, err
	}
	err = a.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return placedBy, fmt.Errorf("%w: deleting it: %w", errRelabelled, err)
	}
	return placedBy, errRelabelled
}

// errUnselected is the failure to make a pod that its DaemonSet would not select.
var errUnselected = errors.New("spec.selector asks for a value of a label that the controller sets on its pods (" +
	appsv1.ControllerRevisionHashLabelKey + ", " + extensionsv1beta1.DaemonSetTemplateGenerationKey +
	") and that they do not have, so that none would be the DaemonSet's: recreate it with a selector and a template without that label")

// errRelabelled is the failure to make a pod that admission changed.
var errRelabelled = errors.New("admission changed its labels so that spec.selector does not match them, and it was deleted: " +
	"correct the mutating webhook or policy that changes them")

// heldBackError is the failure to ask for a pod of a daemon whose pods are refused.
type heldBackError struct {
	wait    time.Duration
	because error
}

func (e *heldBackError) Error() string {
	return fmt.Sprintf("held back for %s: %v", e.wait, e.because)
}

// meet looks who has the name that a pod of ours needs. Our own pod is no news: the cache does
// not show it yet. Somebody else's is never touched.
func (a *actor) meet(ctx context.Context, owner *v1alpha1.DaemonSet, pod *corev1.Pod) error {
	var holder corev1.Pod
	if err := a.reader.Get(ctx, client.ObjectKeyFromObject(pod), &holder); err != nil {
		return fmt.Errorf("looking who has the name of pod %s: %w", pod.Name, err)
	}
	switch {
	case metav1.IsControlledBy(&holder, owner):
		return nil
	case a.kinds.owns(&holder) && holder.Spec.NodeName != "": // it runs, of a DaemonSet that had this name: the two must not overlap on a node
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, errFormer)
	}
	return fmt.Errorf("pod %s/%s: %w: delete or rename it", pod.Namespace, pod.Name, errNameTaken)
}

// errNameTaken is the failure to create a pod whose name somebody else's pod has.
var errNameTaken = errors.New("the name is taken by a pod that the DaemonSet does not control")

// errFormer is the failure to create a pod while one of a former DaemonSet of the same name is
// there (k/k#131684).
var errFormer = errors.New("it is of a former DaemonSet of this name and still there; waiting until it is gone")

// delete removes just the pod that the plan means, and says whether it did; one that is gone, or
// another of the same name, is left alone.
func (a *actor) delete(ctx context.Context, cell daemon.CellKey, owner *v1alpha1.DaemonSet, action daemon.Action) (deleted bool, err error) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: action.Pod.Name}}
	preconditions := client.Preconditions{UID: &action.Pod.UID}
	if action.IfUnchanged {
		preconditions.ResourceVersion = &action.Pod.Version
	}
	err = a.client.Delete(ctx, pod, preconditions)
	switch {
	case err == nil:
		a.tellDeleted(owner, &action)
		return true, nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err) && !action.IfUnchanged: // it is gone, and counts as gone
		a.world.deleted(cell, action.Pod.UID)
		return false, nil
	case apierrors.IsConflict(err):
		return false, nil
	}
	err = &failure{eventFailedDelete, fmt.Errorf("deleting pod %s: %w", action.Pod.Name, err)}
	if !noAnswer(err) {
		a.tellNotDeleted(owner, &action, err)
	}
	return false, err
}

// failure is an error with the reason of its event.
type failure struct {
	reason string
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// problemOf is how a condition tells of an error.
func problemOf(err error) daemon.Problem {
	reason := eventFailed
	var known *failure
	switch {
	case errors.Is(err, errNameTaken), errors.Is(err, errFormer):
		reason = eventNameTaken
	case terminates(err):
		reason = eventTerminating
	case errors.Is(err, errUnselected), errors.Is(err, errRelabelled):
		reason = eventUnselected
	case errors.As(err, &known):
		reason = known.reason
	}
	return daemon.NewProblem(reason, causeOf(err), namesIn(err)...)
}
