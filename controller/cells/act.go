package cells

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/pace"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// Reasons of events, beside those of package answers. Where apps/v1 has an event, the reason is the same.
const (
	eventCreated = v1alpha1.EventSuccessfulCreate
	eventDeleted = v1alpha1.EventSuccessfulDelete

	eventPodFailed    = v1alpha1.EventFailedDaemonPod
	eventPodSucceeded = v1alpha1.EventSucceededDaemonPod

	eventFailedDelete = v1alpha1.EventFailedDelete
	eventFailedClaim  = v1alpha1.EventFailedClaim
	eventClaimed      = v1alpha1.EventPodClaimed
)

// Actions of events: what the controller was doing.
const (
	actionCreate = "CreatePod"
	actionDelete = "DeletePod"
	actionClaim  = "ClaimPod"
)

// reportAfter is how many consecutive requests may go unanswered before a condition reports it.
const reportAfter = 3

// verifyAfter is when a cell is planned again whose pod was created, or had changed before it could be deleted or claimed. Usually the
// pod's event triggers that long before; but if the watch is disconnected and the pod is gone when it is restored, there
// is no event, and a conflict may also be the answer of admission.
const verifyAfter = time.Minute

// Deps are a Reconciler's dependencies.
type Deps struct {
	Kinds    model.Kinds
	State    *state.State
	Client   client.Client
	Reader   client.Reader // of the API server, not of the cache
	Placer   *placement.Placer
	Recorder notify.Recorder
	// Workers is how many cells are processed concurrently.
	Workers int
}

// Reconciler maintains cells: it plans one and executes the plan.
type Reconciler struct {
	kinds  model.Kinds
	state  *state.State
	client client.Client
	reader client.Reader // of the API server, not of the cache
	placer *placement.Placer
	gate   *pace.Throttle // of creates
	owners *owners
	events notify.Recorder
	// unanswered counts, for each cell, the consecutive requests that got no answer.
	unanswered workqueue.TypedRateLimiter[daemon.CellKey]
}

var _ reconcile.TypedReconciler[daemon.CellKey] = (*Reconciler)(nil)

// New returns a Reconciler without knowledge of earlier requests.
func New(deps Deps) *Reconciler {
	return &Reconciler{
		kinds: deps.Kinds, state: deps.State, client: deps.Client, reader: deps.Reader, placer: deps.Placer,
		gate: pace.New(deps.Workers), owners: newOwners(deps.State, deps.Reader), events: deps.Recorder,
		unanswered: answers.Unanswered[daemon.CellKey](),
	}
}

// Forget drops what was read about a DaemonSet that is gone.
func (r *Reconciler) Forget(key daemon.WorkloadKey) { r.owners.forget(key) }

// Reconcile plans a cell and executes the plan. An error is an answer of the API server that will
// not change for a while; retries back off.
func (r *Reconciler) Reconcile(ctx context.Context, key daemon.CellKey) (reconcile.Result, error) {
	task := r.start(key)
	err := r.doAll(ctx, key, &task)
	r.state.Update(func(u model.Update) { u.Answered(key, task.made, err != nil && answers.MayBeDone(err)) })
	if err != nil {
		var held *answers.HeldBackError
		if errors.As(err, &held) {
			r.setProblem(key, answers.Problem(held.Because))
			return reconcile.Result{RequeueAfter: held.Wait}, nil
		}
		if answers.NoAnswer(err) {
			if r.unanswered.NumRequeues(key) >= reportAfter {
				r.setProblem(key, answers.Problem(err))
			}
			return reconcile.Result{RequeueAfter: r.unanswered.When(key)}, nil
		}
		r.unanswered.Forget(key)
		r.setProblem(key, answers.Problem(err))
		return reconcile.Result{}, err
	}
	if !task.Asks() { // a read that is answered says nothing about the write that was not
		r.unanswered.Forget(key)
		r.setProblem(key, daemon.Problem{})
	}
	return reconcile.Result{RequeueAfter: r.lookAgain(&task)}, nil
}

// task executes a cell's plan.
type task struct {
	model.Task
	made bool // set when the plan's pod was created
	// changed is set when a pod had changed or was gone, so that an event should follow.
	changed bool
}

// start returns the task of a cell, whose requests count from now on.
func (r *Reconciler) start(cell daemon.CellKey) (of task) {
	r.state.Update(func(u model.Update) { of.Task = u.StartTask(cell) })
	if of.Node == nil { // the daemon or the node is gone; a refused cell is planned one last time
		r.state.Update(func(u model.Update) { u.NeedsNone(cell) })
	}
	return of
}

// setProblem records what keeps a cell's pod from being created; nil clears it.
func (r *Reconciler) setProblem(cell daemon.CellKey, problem daemon.Problem) {
	r.state.Update(func(u model.Update) { u.SetProblem(cell, problem, problem.Reason == answers.ReasonNameTaken) })
}

// doAll executes the steps, up to the first failure. Claims come first and alone:
// they change the cell, which is then planned again.
func (r *Reconciler) doAll(ctx context.Context, key daemon.CellKey, task *task) error {
	for _, due := range task.Claims {
		if err := r.claim(ctx, task, due); err != nil {
			return err
		}
	}
	if len(task.Claims) > 0 {
		return nil
	}
	if task.Asks() {
		return r.ask(ctx, key, task)
	}
	for _, action := range task.Actions {
		if err := r.do(ctx, key, task, action); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain returns when to plan a cell again without an event; 0 means never.
func (r *Reconciler) lookAgain(task *task) time.Duration {
	if !task.WakeAt.IsZero() {
		return max(task.WakeAt.Sub(r.state.Now()), time.Millisecond)
	}
	if task.changed || slices.ContainsFunc(task.Actions, func(action daemon.Action) bool { return action.Op == daemon.Create }) {
		return verifyAfter
	}
	return 0
}

func (r *Reconciler) do(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) error {
	switch action.Op {
	case daemon.Create:
		return r.create(ctx, cell, task, action)
	case daemon.Delete:
		return r.deletePlanned(ctx, cell, task, action)
	default:
		return fmt.Errorf("node %s: operation %q is unknown", cell.Node, action.Op)
	}
}

func (r *Reconciler) deletePlanned(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) error {
	if action.TryFirst {
		if blocked, err := r.wouldBlock(ctx, cell, task); blocked {
			return err
		}
	}
	deleted, err := r.delete(ctx, cell, task, action)
	if deleted {
		r.state.Update(func(u model.Update) { u.Deleted(cell, action.Pod.UID) })
	}
	if deleted && action.Reason == daemon.ReasonFinished {
		r.state.Update(func(u model.Update) { u.Replaced(cell) })
		r.reportEnd(task.Workload, cell.Node, &action.Pod)
	}
	return err
}

// create creates a pod, under the alternative name if another object has the first one.
func (r *Reconciler) create(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) error {
	err := r.createAs(ctx, cell, task, action, task.Names[0])
	if errors.Is(err, answers.ErrNameTaken) {
		err = r.createAs(ctx, cell, task, action, task.Names[1])
	}
	task.made = err == nil
	var held *answers.HeldBackError
	if err == nil || errors.As(err, &held) || answers.NoAnswer(err) {
		return err
	}
	r.reportRefused(task.Workload, task.Node.Name, err)
	return err
}

// createAs creates a pod under a name. AlreadyExists is an answer too: the name implies the same predecessors,
// and the cache will show the pod.
func (r *Reconciler) createAs(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action, name string) error {
	if task.Template == nil {
		return fmt.Errorf("the template of revision %s is not known: keep its ControllerRevision, or change spec.template", action.Revision)
	}
	pod := daemon.NewPod(task.Template, task.Node, name)
	if action.Reason == daemon.ReasonSurge {
		daemon.Surge(pod)
	}
	if task.Former != "" {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, task.Former, answers.ErrFormer)
	}
	if action.AskOwner {
		if there, err := r.owners.there(ctx, task.Workload); err != nil || !there {
			return err
		}
	}
	if err := r.gate.Enter(ctx); err != nil {
		return err
	}
	if err := r.mayAsk(cell); err != nil {
		r.gate.LeaveUnasked()
		return err
	}
	placedBy, err := r.make(ctx, task, pod)
	r.gate.Leave(err == nil || !answers.NoAnswer(err))
	if err == nil || apierrors.IsAlreadyExists(err) {
		r.state.Update(func(u model.Update) { u.Taken(cell) })
	}
	switch {
	case err == nil:
		r.state.Update(func(u model.Update) { u.Made(cell, pod.UID) })
		podsCreated.WithLabelValues(placedBy).Inc()
		r.reportCreated(task.Workload, task.Node.Name, pod, &action)
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.meet(ctx, cell, task.Workload, pod)
	}
	err = &answers.PodError{Doing: "creating", Pod: pod.Name, Node: task.Node.Name, Err: err}
	if about := answers.Of(answers.Create, err).Concerns; about == answers.Daemon || about == answers.Node {
		r.state.Update(func(u model.Update) { u.Refused(cell, err, about == answers.Daemon) })
	}
	return err
}

// mayAsk returns a HeldBackError while a cell's pod must not be requested, because the last one was refused.
func (r *Reconciler) mayAsk(cell daemon.CellKey) (held error) {
	r.state.Update(func(u model.Update) {
		if wait, because := u.MayAsk(cell); because != nil {
			held = &answers.HeldBackError{Wait: wait, Because: because}
		}
	})
	return held
}

// make stores a pod if the daemon's selector matches it both as emitted and as stored. Otherwise
// it would be released as soon as it is seen, and another one created (S8).
func (r *Reconciler) make(ctx context.Context, task *task, pod *corev1.Pod) (placedBy string, err error) {
	if !task.Selector.Matches(labels.Set(pod.Labels)) {
		return "", answers.ErrUnselected
	}
	placedBy, err = r.placer.Create(ctx, pod)
	if err != nil || task.Selector.Matches(labels.Set(pod.Labels)) {
		return placedBy, err
	}
	err = r.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return placedBy, fmt.Errorf("%w: deleting it: %w", answers.ErrRelabelled, err)
	}
	return placedBy, answers.ErrRelabelled
}

// meet finds the owner of the name that a pod needs. The daemon's own pod is not reported: the cache
// does not show it yet. Another owner's pod is never changed.
func (r *Reconciler) meet(ctx context.Context, cell daemon.CellKey, owner *daemon.Workload, pod *corev1.Pod) error {
	var holder corev1.Pod
	if err := r.reader.Get(ctx, client.ObjectKeyFromObject(pod), &holder); err != nil {
		return fmt.Errorf("finding the owner of the name of pod %s: %w", pod.Name, err)
	}
	switch {
	case owner.Controls(&holder):
		r.state.Update(func(u model.Update) { u.Made(cell, holder.UID) })
		return nil
	case r.kinds.Owns(&holder) && holder.Spec.NodeName != "": // it is a running pod of a former DaemonSet of this name: the two must not overlap on a node
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, answers.ErrFormer)
	}
	return fmt.Errorf("pod %s/%s: %w: delete or rename it", pod.Namespace, pod.Name, answers.ErrNameTaken)
}

// delete deletes exactly the planned pod, and reports whether it did;
// another pod of the same name stays.
func (r *Reconciler) delete(ctx context.Context, cell daemon.CellKey, task *task, action daemon.Action) (deleted bool, err error) {
	owner := task.Workload
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Key.Namespace, Name: action.Pod.Name}}
	preconditions := client.Preconditions{UID: &action.Pod.UID}
	if action.IfUnchanged {
		preconditions.ResourceVersion = &action.Pod.Version
	}
	err = r.client.Delete(ctx, pod, preconditions)
	switch {
	case err == nil:
		r.reportDeleted(owner, &action)
		return true, nil
	case apierrors.IsConflict(err) && action.IfUnchanged: // it may only have changed
		task.changed = true
		return false, nil
	case answers.Of(answers.Change, err).Concerns == answers.Nothing:
		gone, unread := r.gone(ctx, pod, action.Pod.UID, err)
		if gone {
			r.state.Update(func(u model.Update) { u.Deleted(cell, action.Pod.UID) })
			return false, nil
		}
		err = cmp.Or(unread, err)
	}
	err = &answers.Failure{Reason: eventFailedDelete, Err: fmt.Errorf("deleting pod %s: %w", action.Pod.Name, err)}
	if !answers.NoAnswer(err) {
		r.reportNotDeleted(owner, &action, err)
	}
	return false, err
}

// gone reports whether a pod is gone that could not be deleted. A conflict shows that another pod has its name, but a webhook may
// answer so too.
func (r *Reconciler) gone(ctx context.Context, pod *corev1.Pod, uid types.UID, because error) (bool, error) {
	if !apierrors.IsConflict(because) {
		return true, nil
	}
	var holder corev1.Pod
	switch err := r.reader.Get(ctx, client.ObjectKeyFromObject(pod), &holder); {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, err
	}
	return holder.UID != uid, nil
}
