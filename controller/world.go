package controller

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// CellKey names a cell: a daemon, by its UID, on a node.
type CellKey struct {
	Owner types.UID
	Node  string
}

// world is what is known of the cluster: every node, every daemon, and of each daemon its
// cells. It is told what informers see and tells whose plan or status may have changed.
// It is safe for concurrent use.
type world struct {
	now func() time.Time
	// plan and report are called, with mu held, for every cell to plan and every daemon whose
	// status to look at. They must not block and not call back.
	plan   func(CellKey)
	report func(types.UID)

	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	daemons map[types.UID]*workload
}

// workload is one daemon. Pods may be seen before their daemon and stay after it: then object is
// nil, and there is nothing to do about them.
type workload struct {
	object   *v1alpha1.DaemonSet // read only
	template *daemon.Template    // read only; of object's generation
	rules    *daemon.Rules
	cells    daemon.Cells
}

// active says whether the daemon is to be kept up: it is there and not on its way out. A daemon
// that is being deleted keeps its pods as they are: the garbage collector, or whoever asked for
// orphans, decides about them.
func (w *workload) active() bool {
	return w != nil && w.object != nil && w.object.DeletionTimestamp == nil
}

func newWorld(now func() time.Time, plan func(CellKey), report func(types.UID)) *world {
	return &world{
		now: now, plan: plan, report: report,
		nodes:   map[string]*corev1.Node{},
		daemons: map[types.UID]*workload{},
	}
}

// daemonSeen takes a daemon as it is now. A new generation means that every node is judged anew.
func (w *world) daemonSeen(object *v1alpha1.DaemonSet) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.workload(object.UID)
	fresh := known.object == nil || known.object.Generation != object.Generation
	known.object = object
	w.report(object.UID)
	if !fresh {
		return nil
	}
	revision, err := daemon.Revision(&object.Spec.Template)
	if err != nil {
		return err
	}
	known.template = &daemon.Template{
		Owner:     *metav1.NewControllerRef(object, v1alpha1.DaemonSetKind),
		Namespace: object.Namespace,
		Name:      object.Name,
		Revision:  revision,
		Pod:       object.Spec.Template,
	}
	known.rules = daemon.NewRules(&object.Spec.Template)
	now := w.now()
	known.cells.SetTemplate(revision, time.Duration(object.Spec.MinReadySeconds)*time.Second, now)
	for _, node := range w.nodes {
		known.cells.SetNode(node.Name, node.UID, known.rules.Evaluate(node), now)
	}
	for _, node := range known.cells.Nodes() {
		w.plan(CellKey{object.UID, node})
	}
	return nil
}

// daemonGone forgets a daemon, but not its pods.
func (w *world) daemonGone(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.daemons[uid]; ok {
		known.object = nil
		now := w.now()
		for node := range w.nodes {
			known.cells.RemoveNode(node, now)
		}
		w.forgetEmpty(uid)
	}
}

// nodeSeen judges a node for every daemon.
func (w *world) nodeSeen(node *corev1.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[node.Name] = node
	now := w.now()
	for uid, known := range w.daemons {
		if known.object != nil && known.cells.SetNode(node.Name, node.UID, known.rules.Evaluate(node), now) {
			w.changed(uid, node.Name)
		}
	}
}

func (w *world) nodeGone(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.nodes, name)
	now := w.now()
	for uid, known := range w.daemons {
		known.cells.RemoveNode(name, now)
		w.changed(uid, name)
	}
}

// podSeen takes a pod as it is now, and as it was when it was last seen (nil: never), for a pod
// may have changed its owner or its node.
func (w *world) podSeen(old, pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, ours := cellOf(pod)
	if old != nil {
		if former, had := cellOf(old); had && (!ours || former != key) {
			w.removePod(former, old.UID)
		}
	}
	if ours {
		w.workload(key.Owner).cells.SetPod(key.Node, daemon.ObservePod(pod), w.now())
		w.changed(key.Owner, key.Node)
	}
}

func (w *world) podGone(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key, ours := cellOf(pod); ours {
		w.removePod(key, pod.UID)
	}
}

func (w *world) removePod(key CellKey, uid types.UID) {
	if known, ok := w.daemons[key.Owner]; ok {
		known.cells.RemovePod(key.Node, uid, w.now())
		w.changed(key.Owner, key.Node)
		w.forgetEmpty(key.Owner)
	}
}

// cellOf is the cell that a pod of a daemon of ours belongs to. Pods of apps/v1 are not ours.
func cellOf(pod *corev1.Pod) (CellKey, bool) {
	key, ok := daemon.KeyOf(pod)
	if !ok || !strings.HasPrefix(metav1.GetControllerOfNoCopy(pod).APIVersion, v1alpha1.GroupName+"/") {
		return CellKey{}, false
	}
	return CellKey{key.Owner, key.Node}, true
}

// changed has a cell planned and its daemon reported.
func (w *world) changed(uid types.UID, node string) {
	w.plan(CellKey{uid, node})
	w.report(uid)
}

func (w *world) workload(uid types.UID) *workload {
	known, ok := w.daemons[uid]
	if !ok {
		known = &workload{}
		w.daemons[uid] = known
	}
	return known
}

// forgetEmpty drops a daemon that is gone and has no pods any more.
func (w *world) forgetEmpty(uid types.UID) {
	if known := w.daemons[uid]; known.object == nil && known.cells.Len() == 0 {
		delete(w.daemons, uid)
	}
}

// task is a plan with what it takes to act on it; all of it is read only.
type task struct {
	daemon.Plan
	object   *v1alpha1.DaemonSet
	template *daemon.Template
	node     *corev1.Node // nil when the node is gone
}

// task plans a cell now; it is empty when there is nothing to keep up.
func (w *world) task(key CellKey) task {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.daemons[key.Owner]
	if !known.active() {
		return task{}
	}
	before := known.cells.Counters()
	plan := known.cells.Plan(key.Node, w.now())
	if known.cells.Counters() != before { // a pod became available by waiting
		w.report(key.Owner)
	}
	return task{Plan: plan, object: known.object, template: known.template, node: w.nodes[key.Node]}
}

// counters are a daemon's sums; it is nil when there is no such daemon, or not any more.
func (w *world) counters(uid types.UID) (*v1alpha1.DaemonSet, daemon.Counters) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.daemons[uid]
	if !known.active() {
		return nil, daemon.Counters{}
	}
	return known.object, known.cells.Counters()
}

// objects are all daemons that are kept up, sorted by UID.
func (w *world) objects() []*v1alpha1.DaemonSet {
	w.mu.Lock()
	defer w.mu.Unlock()
	var objects []*v1alpha1.DaemonSet
	for _, known := range w.daemons {
		if known.active() {
			objects = append(objects, known.object)
		}
	}
	slices.SortFunc(objects, func(a, b *v1alpha1.DaemonSet) int { return cmp.Compare(a.UID, b.UID) })
	return objects
}
