package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/daemonset"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// Events of history.
const (
	eventNotRecorded   = v1alpha1.EventRevisionNotRecorded
	eventNotRelabelled = v1alpha1.EventPodNotRelabelled
	actionRecord       = "RecordRevision"
)

// verifyAfter is when a history whose record was created, or whose daemon or records had changed, is reconciled again. The event does
// that long before, unless the watch was disconnected, or admission answered with a conflict.
const verifyAfter = time.Minute

// Deps are a Reconciler's dependencies.
type Deps struct {
	Kinds    model.Kinds
	State    *state.State
	Client   client.Client
	Reader   client.Reader // of the API server, not of the cache
	Recorder events.EventRecorder
}

// Reconciler maintains the ControllerRevisions of daemons: one for the current template, and the configured
// number of former ones. No template becomes a target before it has one (controller/model/resolve.go).
type Reconciler struct {
	kinds  model.Kinds
	state  *state.State
	client client.Client
	reader client.Reader // of the API server, not of the cache
	events events.EventRecorder
	// unanswered counts, for each daemon, the consecutive requests that got no answer.
	unanswered workqueue.TypedRateLimiter[daemon.WorkloadKey]
}

var _ reconcile.TypedReconciler[daemon.WorkloadKey] = (*Reconciler)(nil)

// New returns a Reconciler without knowledge of earlier requests.
func New(deps Deps) *Reconciler {
	return &Reconciler{
		kinds: deps.Kinds, state: deps.State, client: deps.Client, reader: deps.Reader, events: deps.Recorder,
		unanswered: answers.Unanswered[daemon.WorkloadKey](),
	}
}

// Reconcile plans a daemon's history and executes the plan. An error is an answer of the API server that will
// not change for a while; retries back off. Independent steps are executed nevertheless: deleting old
// ControllerRevisions may make room for the new one.
func (r *Reconciler) Reconcile(ctx context.Context, key daemon.WorkloadKey) (reconcile.Result, error) {
	var (
		subject model.Subject
		ok      bool
	)
	r.state.Update(func(u model.Update) { subject, ok = u.Subject(key) })
	if !ok {
		r.unanswered.Forget(key)
		return reconcile.Result{}, nil
	}
	var (
		result  reconcile.Result
		refused error
	)
	steps := r.plan(key, &subject)
	// Records that are merged below may have arrived without waking the daemon: its pods wait from
	// now on.
	r.state.Update(func(u model.Update) { u.RecordsChanged(key) })
	for _, step := range steps {
		err := r.do(ctx, &subject, step)
		switch {
		case errors.Is(err, errOutdated):
			return reconcile.Result{}, nil
		case errors.Is(err, errChanged):
			return reconcile.Result{RequeueAfter: verifyAfter}, nil
		case err != nil && answers.NoAnswer(err):
			return reconcile.Result{RequeueAfter: r.unanswered.When(key)}, nil
		case step.Op == daemon.Create:
			result.RequeueAfter = verifyAfter
		}
		refused = errors.Join(refused, err)
	}
	r.unanswered.Forget(key)
	if refused != nil {
		return reconcile.Result{}, refused
	}
	if at := subject.WakeAt; !at.IsZero() {
		if wait := max(at.Sub(r.state.Now()), time.Millisecond); result.RequeueAfter == 0 || wait < result.RequeueAfter {
			result.RequeueAfter = wait
		}
	}
	return result, nil
}

func (r *Reconciler) plan(key daemon.WorkloadKey, subject *model.Subject) []daemon.HistoryStep {
	return daemon.PlanHistory(daemon.History{
		Content: subject.ID.Content, Name: subject.ID.Record, Limit: subject.Workload.HistoryLimit, Replaced: subject.ToRecord(),
		Records: r.records(subject), Met: subject.Met,
		Stable: subject.Stable, Forgets: subject.Workload.Kind.RollsOut() && subject.Workload.Rollout == nil, Notes: subject.Notes,
		InUse: func(revision string) (uses bool) {
			r.state.Update(func(u model.Update) { uses = u.InUse(key, revision) })
			return uses
		},
	})
}

func (r *Reconciler) records(subject *model.Subject) (records []daemon.Record) {
	r.state.Update(func(u model.Update) { records = u.Records(subject) })
	return records
}

func (r *Reconciler) do(ctx context.Context, subject *model.Subject, step daemon.HistoryStep) error {
	switch step.Op {
	case daemon.Keep:
		return nil
	case daemon.Create:
		return r.create(ctx, subject, step)
	case daemon.Rename:
		return r.rename(ctx, subject, step)
	case daemon.Adopt:
		return r.adopt(ctx, subject, step.Record)
	case daemon.Release:
		return r.release(ctx, subject, step.Record)
	case daemon.Renumber:
		return r.renumber(ctx, subject, step)
	case daemon.Relabel:
		return r.relabel(ctx, subject, step.Record)
	case daemon.Promote:
		return r.annotate(ctx, subject, step.Record, map[string]string{v1alpha1.StableAnnotation: strconv.FormatInt(step.Number, 10)})
	case daemon.Demote:
		return r.annotate(ctx, subject, step.Record, map[string]string{v1alpha1.StableAnnotation: ""})
	case daemon.Annotate:
		return r.annotate(ctx, subject, step.Record, step.Annotations)
	case daemon.Delete:
		return r.delete(ctx, subject, step.Record)
	}
	return fmt.Errorf("ControllerRevision %s: operation %q is unknown", step.Record.Name, step.Op)
}

// create records the current template, or the one that it replaces. An existing name is an answer too.
func (r *Reconciler) create(ctx context.Context, subject *model.Subject, step daemon.HistoryStep) error {
	object, err := recordOf(subject, step)
	if err != nil {
		return err
	}
	err = r.make(ctx, subject, object)
	switch {
	case err == nil:
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.meet(ctx, subject, object)
	}
	err = fmt.Errorf("creating ControllerRevision %s: %w", object.Name, err)
	if !answers.NoAnswer(err) {
		r.notRecorded(subject, err)
	}
	return err
}

// recordOf returns the ControllerRevision that a step creates. The DaemonSet's annotations describe only its
// current template.
func recordOf(subject *model.Subject, step daemon.HistoryStep) (*appsv1.ControllerRevision, error) {
	template, annotations := *subject.Template, subject.Workload.Annotations
	template.Revision = cmp.Or(template.Revision, subject.ID.Revision)
	if step.Reason == daemon.ReasonReplacedTemplate {
		template, annotations = *subject.Replaced, nil
	}
	return daemon.NewRevision(&template, step.Record.Name, step.Number, annotations)
}

// notRecorded reports a record that the API server refused, by an event and, while pods wait for it, in the status.
func (r *Reconciler) notRecorded(subject *model.Subject, err error) {
	consequence := "no pods are created until it is stored"
	switch {
	case subject.Replaced != nil:
		consequence = fmt.Sprintf("pods keep revision %s until it is stored, and are recreated with it", subject.Replaced.Revision)
	case subject.Template.Revision != "":
		consequence = "existing pods have it, and no rollback to it would be possible"
	}
	regarding, related := notify.Regarding(subject.Workload, err)
	r.events.Eventf(regarding, related, corev1.EventTypeWarning, eventNotRecorded, actionRecord, "The template has no ControllerRevision; %s: %v", consequence, err)
	problem := daemon.NewProblem(eventNotRecorded, fmt.Sprintf("%v; %s", err, consequence))
	r.state.Update(func(u model.Update) { u.SetNotRecorded(subject.Workload.Key, problem) })
}

// make stores a record, if the daemon's selector matches it both before and after it is stored: otherwise it
// would be released, and another one created under another name (S8).
func (r *Reconciler) make(ctx context.Context, subject *model.Subject, object *appsv1.ControllerRevision) error {
	if !subject.Matches(object.Labels) {
		return answers.ErrUnselected
	}
	if err := r.client.Create(ctx, object); err != nil || subject.Matches(object.Labels) {
		return err
	}
	err := r.client.Delete(ctx, object, client.Preconditions{UID: &object.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("%w: deleting it: %w", answers.ErrRelabelled, err)
	}
	return answers.ErrRelabelled
}

// meet finds the owner of the name that the current template's record needs. A record that we would keep or
// adopt is not reported: the cache does not show it yet.
func (r *Reconciler) meet(ctx context.Context, subject *model.Subject, object *appsv1.ControllerRevision) error {
	var holder appsv1.ControllerRevision
	if err := r.reader.Get(ctx, client.ObjectKeyFromObject(object), &holder); err != nil {
		return fmt.Errorf("finding the owner of the name of ControllerRevision %s: %w", object.Name, err)
	}
	observed := r.kinds.ObserveRevision(&holder)
	met := subject.Record(&observed)
	if met.Holder == daemon.Ours {
		r.state.Update(func(u model.Update) { u.MetRecord(subject.Workload.Key, &met) })
	}
	for _, step := range daemon.PlanHistory(daemon.History{
		Content: subject.ID.Content, Name: subject.ID.Record, Records: []daemon.Record{met},
		InUse: func(string) bool { return true },
	}) {
		if step.Op == daemon.Rename {
			return r.rename(ctx, subject, step)
		}
	}
	return nil
}

// rename gives the template another revision, by a new collisionCount. That changes the daemon, which triggers
// another call. A stale cache causes the same number to be written twice.
func (r *Reconciler) rename(ctx context.Context, subject *model.Subject, step daemon.HistoryStep) error {
	of := subject.Workload
	collisions := of.Collisions() + 1
	status := map[string]any{"collisionCount": collisions}
	if of.Status.ObservedGeneration == 0 { // it was never written, and these are required
		for _, number := range []string{"currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"} {
			status[number] = 0
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": of.Key.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("counting a collision: %w", err)
	}
	answer := r.client.Status().Patch(ctx, of.Metadata(), client.RawPatch(types.MergePatchType, patch))
	if err := answered(answer, "counting a collision of the name "+step.Record.Name); err != nil {
		return err
	}
	r.events.Eventf(of.Metadata(), nil, corev1.EventTypeWarning, string(step.Reason), actionRecord, "%s", step.Message)
	return nil
}

// errOutdated ends a pass over the history of a daemon that has changed since the cache was read. An event
// triggers another call.
var errOutdated = errors.New("the DaemonSet has changed")

// errChanged ends a pass in which an object was not in the state that was seen. An event triggers another call, unless the answer was
// that of admission.
var errChanged = errors.New("an object has changed")

// adopt takes control of an orphan. The cache may show a daemon that is gone or terminating, whose records
// would be deleted with it: so the API server is asked first.
func (r *Reconciler) adopt(ctx context.Context, subject *model.Subject, record daemon.Record) error {
	there, err := daemonset.Exists(ctx, r.reader, subject.Workload)
	if err != nil {
		return err
	}
	if !there {
		return errOutdated
	}
	// Merged by UID into the existing owner references (strategic merge).
	metadata := stateOf(record)
	metadata["ownerReferences"] = []metav1.OwnerReference{subject.Template.Owner}
	return r.patch(ctx, subject, record, types.StrategicMergePatchType, map[string]any{"metadata": metadata})
}

// release releases a record whose labels the selector does not match any more.
func (r *Reconciler) release(ctx context.Context, subject *model.Subject, record daemon.Record) error {
	metadata := stateOf(record)
	metadata["ownerReferences"] = []map[string]any{{"$patch": "delete", "uid": subject.Workload.Key.UID}}
	return r.patch(ctx, subject, record, types.StrategicMergePatchType, map[string]any{"metadata": metadata})
}

// relabel gives the pods of a record the label of the current template. A pod that is gone or has changed
// causes an event, which triggers another call.
func (r *Reconciler) relabel(ctx context.Context, subject *model.Subject, record daemon.Record) error {
	current, _ := daemon.CurrentRecord(r.records(subject), subject.ID.Content)
	if current == nil {
		return errOutdated
	}
	var (
		pods    []*model.Pod
		changed error
	)
	r.state.Update(func(u model.Update) { u.PodsOf(subject.Workload.Key, record.Revision, &pods) })
	for _, pod := range pods {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": pod.UID, "resourceVersion": pod.Version,
			"labels": map[string]any{appsv1.ControllerRevisionHashLabelKey: current.Revision},
		}})
		if err != nil {
			return fmt.Errorf("relabelling pod %s: %w", pod.Name, err)
		}
		object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.GetNamespace(), Name: pod.Name}}
		err = r.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
		switch {
		case apierrors.IsConflict(err):
			changed = errChanged
		case err != nil && !apierrors.IsNotFound(err):
			return r.notRelabelled(subject, pod, current, err)
		}
	}
	return changed
}

// notRelabelled reports a pod that keeps its daemon waiting.
func (r *Reconciler) notRelabelled(subject *model.Subject, pod *model.Pod, current *daemon.Record, err error) error {
	if !answers.NoAnswer(err) {
		r.events.Eventf(subject.Workload.Metadata(), nil, corev1.EventTypeWarning, eventNotRelabelled, actionRecord,
			"Pod %s has the current template, which has two ControllerRevisions, and no pods are created or replaced until its label %s can be changed to %s, or the pod is deleted: %v",
			pod.Name, appsv1.ControllerRevisionHashLabelKey, current.Revision, err)
	}
	return fmt.Errorf("relabelling pod %s: %w", pod.Name, err)
}
