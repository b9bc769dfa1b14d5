package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/notify"
	"github.com/everynode/everynode/internal/daemon"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// queues remember what a world asked for since they were last emptied.
type queues struct {
	plans   []daemon.CellKey
	looks   []DaemonKey              // at histories
	ranks   map[daemon.CellKey]int32 // the priority that a cell was asked for with last
	reports []types.UID
}

func (q *queues) plan(key daemon.CellKey, priority int32) {
	q.plans = append(q.plans, key)
	if q.ranks == nil {
		q.ranks = map[daemon.CellKey]int32{}
	}
	q.ranks[key] = priority
}
func (q *queues) report(key DaemonKey) { q.reports = append(q.reports, key.UID) }

func (q *queues) look(key DaemonKey) { q.looks = append(q.looks, key) }

func (q *queues) enqueuers() enqueuers { return enqueuers{q.plan, q.report, q.look} }

// looked gives the UIDs of the daemons whose history was to be looked at, each once and sorted.
func (q *queues) looked() []string {
	var uids []string
	for _, key := range q.looks {
		uids = append(uids, string(key.UID))
	}
	q.looks = nil
	slices.Sort(uids)
	return slices.Compact(uids)
}

// drain gives what was asked for, each once and sorted, as a work queue would.
func (q *queues) drain() (plans []string, reports []types.UID) {
	for _, key := range q.plans {
		plans = append(plans, fmt.Sprintf("%s on %s", key.Owner, key.Node))
	}
	slices.Sort(plans)
	reports = slices.Clone(q.reports)
	slices.Sort(reports)
	q.plans, q.reports = nil, nil
	return slices.Compact(plans), slices.Compact(reports)
}

// everynodeOnly are the kinds of most tests.
var everynodeOnly = Kinds{Everynode: true}

func newTestWorld() (*state, *queues, *clock) {
	q, c := &queues{}, &clock{now: t0}
	w := newState(everynodeOnly, "", c.Now, q.enqueuers())
	w.begin()
	return w, q, c
}

// seen takes a daemon whose spec can be decoded.
func (s *state) seen(set *v1alpha1.DaemonSet) error { return s.daemonSeen(set, nil) }

// task is the plan of a cell now.
func (s *state) task(cell daemon.CellKey) (task task) {
	s.update(func(u update) { task = u.task(cell) })
	return task
}

// podSeen and podGone are what the handlers of pods tell a world.
func (s *state) podSeen(pod *corev1.Pod) { s.podIs(everynodeOnly.seePod(pod)) }
func (s *state) podGone(pod *corev1.Pod) { s.podLeft(everynodeOnly.seePod(pod)) }

func countersOf(w *state, key DaemonKey) (*v1alpha1.DaemonSet, daemon.Counters) {
	object, health := w.health(key)
	return object, health.Counters
}

// makeDaemon is DaemonSet ns/<name> of UID uid-<name>, of generation 1. Its strategy is OnDelete:
// what a rollout does depends on what happened before, and has tests of its own.
func makeDaemon(name string, change ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	set := &v1alpha1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec: v1alpha1.DaemonSetSpec{UpdateStrategy: onDelete, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
		}},
	}
	for _, c := range change {
		c(set)
	}
	return set
}

// seenAs is a daemon as the cache has it.
func seenAs(set *v1alpha1.DaemonSet) *seenSet { return &seenSet{DaemonSet: set} }

var onDelete = v1alpha1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}

func generation(n int64) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Generation = n }
}

func onlyWhere(key, value string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.NodeSelector = map[string]string{key: value}
	}
}

func deleting(set *v1alpha1.DaemonSet) { set.DeletionTimestamp = &metav1.Time{Time: t0} }

// makeNode has UID uid-<name>.
func makeNode(name string, change ...func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	for _, c := range change {
		c(node)
	}
	return node
}

func labelled(key, value string) func(*corev1.Node) {
	return func(node *corev1.Node) { metav1.SetMetaDataLabel(&node.ObjectMeta, key, value) }
}

func incarnation(uid types.UID) func(*corev1.Node) {
	return func(node *corev1.Node) { node.UID = uid }
}

// makePod is the pod of a daemon for a node as the API server stores it, not bound yet.
func makePod(set *v1alpha1.DaemonSet, node *corev1.Node, change ...func(*corev1.Pod)) *corev1.Pod {
	revision, err := daemon.Revision(&set.Spec.Template)
	if err != nil {
		panic(err)
	}
	pod := daemon.NewPod(daemon.NewTemplate(set, revision), node, firstNames(set, node)[0])
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook); err != nil {
		panic(err)
	}
	pod.UID, pod.CreationTimestamp = types.UID("uid-"+pod.Name), metav1.NewTime(t0)
	for _, c := range change {
		c(pod)
	}
	return pod
}

// firstNames are those that a test world gives a daemon's pod on a node where none was before.
func firstNames(set *v1alpha1.DaemonSet, node *corev1.Node) []string {
	return daemon.NewTemplate(set, "").PodNames(node.Name, "/"+string(node.UID))
}

func podUID(uid types.UID) func(*corev1.Pod) { return func(pod *corev1.Pod) { pod.UID = uid } }

func bound(node string) func(*corev1.Pod) { return func(pod *corev1.Pod) { pod.Spec.NodeName = node } }

func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: t0} }

func ready(since time.Time) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}
	}
}

// admission is what becomes of an emitted pod in the test's API server.
type admission int

const (
	rewrites admission = iota
	absent             // nobody rewrites
	failing            // our webhook is asked and fails
	breaking           // its patch cannot be applied
)

// server is the API server as the placer meets it: mutating admission, then the interlock, then
// the store. refuse, when set, is its answer to a pod that came so far.
type server struct {
	client.WithWatch
	mu            sync.Mutex
	admission     admission
	refuse        error
	refusePod     func(*corev1.Pod) error // its answer to one pod
	relabel       func(*corev1.Pod)       // what somebody's mutating admission does
	whileRefusing func()
	onPatch       error
	requests      []string // of each create: what it asked for
	deletes       []types.UID
	onDelete      error
	onGet         error
	onStatus      error
	statuses      int
}

func newServer(objects ...client.Object) *server {
	s := &server{}
	s.WithWatch = fake.NewClientBuilder().WithScheme(testScheme()).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.DaemonSet{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: s.create, Delete: s.delete, Get: s.get, Patch: s.patch, SubResourceUpdate: s.updateStatus}).
		Build()
	return s
}

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	return scheme
}

func (s *server) create(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := object.(*corev1.Pod)
	kind := "pinned"
	if pod.Spec.NodeName != "" {
		kind = "emitted"
	}
	if (&client.CreateOptions{}).ApplyOptions(options).DryRun != nil {
		kind += ", dry run"
	}
	s.requests = append(s.requests, kind)

	stored := pod.DeepCopy()
	if pod.Spec.NodeName != "" {
		switch s.admission {
		case failing:
			return errWebhookFails()
		case breaking:
			return errBroken()
		case rewrites:
			if _, err := daemon.Rewrite(stored, v1alpha1.PlacedByWebhook); err != nil {
				return err
			}
		}
	}
	if stored.Spec.NodeName != "" && len(stored.Spec.SchedulingGates) > 0 {
		pod.Annotations = nil // a failed create may leave anything in its object
		return errInterlock()
	}
	if s.relabel != nil {
		s.relabel(stored)
	}
	if s.refusePod != nil {
		if err := s.refusePod(stored); err != nil {
			return err
		}
	}
	if s.refuse != nil {
		if s.whileRefusing != nil {
			s.whileRefusing()
		}
		return s.refuse
	}
	if err := c.Create(ctx, stored, options...); err != nil {
		return err
	}
	stored.DeepCopyInto(pod)
	return nil
}

func (s *server) delete(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
	if preconditions := (&client.DeleteOptions{}).ApplyOptions(options).Preconditions; preconditions != nil && preconditions.UID != nil {
		s.deletes = append(s.deletes, *preconditions.UID)
	} else {
		s.deletes = append(s.deletes, "no UID")
	}
	if s.onDelete != nil {
		return s.onDelete
	}
	return c.Delete(ctx, object)
}

func (s *server) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if s.onGet != nil {
		return s.onGet
	}
	return c.Get(ctx, key, object, options...)
}

func (s *server) patch(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	if s.onPatch != nil {
		return s.onPatch
	}
	return c.Patch(ctx, object, patch, options...)
}

func (s *server) updateStatus(ctx context.Context, c client.Client, _ string, object client.Object, options ...client.SubResourceUpdateOption) error {
	s.statuses++
	if s.onStatus != nil {
		return s.onStatus
	}
	return c.Status().Update(ctx, object, options...)
}

// pods are all that are stored.
func (s *server) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := s.List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// errInterlock is what ValidatePodCreate says of a pod with both nodeName and a gate.
func errInterlock() error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{
		field.Forbidden(field.NewPath("spec", "nodeName"), "cannot be set until all schedulingGates have been cleared"),
	})
}

func errWebhookFails() error {
	return apierrors.NewInternalError(fmt.Errorf(`failed calling webhook "owned.placement.everynode.dev": failed to call webhook: Post "https://everynode-webhook": connection refused`))
}

// errBroken is what the API server says of a webhook's patch that does not apply: it names nobody.
func errBroken() error {
	return apierrors.NewInternalError(fmt.Errorf("add operation does not apply: doc is missing path: \"/no/such/parent\": missing value"))
}

func errQuota() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", fmt.Errorf("exceeded quota: pods, requested: pods=1, used: pods=5, limited: pods=5"))
}

func errPolicy() error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", fmt.Errorf("violates PodSecurity"))
}

func errNamespaceTerminating() error {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", fmt.Errorf("namespace is being terminated"))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	return err
}

// recorder keeps events as "<daemon>: <type> <reason>", and their notes.
type recorder struct {
	mu    sync.Mutex
	seen  []string
	notes []string
}

func (r *recorder) Note(regarding runtime.Object, eventType, reason, action string, of notify.Entry) {
	r.Eventf(regarding, nil, eventType, reason, action, "%s", of.One)
}

func (r *recorder) Eventf(regarding, _ runtime.Object, eventType, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object, err := meta.Accessor(regarding)
	if err != nil {
		panic(err)
	}
	r.seen = append(r.seen, object.GetName()+": "+eventType+" "+reason)
	r.notes = append(r.notes, fmt.Sprintf(note, args...))
}

func (r *recorder) drain() []string {
	seen := r.seen
	r.seen, r.notes = nil, nil
	return seen
}

// errDenied is what the API server makes of a denial by a policy or a webhook: any code and reason.
func errDenied(code int32, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: text}}
}
