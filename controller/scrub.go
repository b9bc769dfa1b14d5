package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/everynode/everynode/internal/daemon"
)

// scrubInterval is the time between two daemons that are looked at. scrubPatience is how long what
// the cache shows may be on its way to the world.
const (
	scrubInterval = 10 * time.Second
	scrubPatience = 30 * time.Second
)

// scrubber derives the cells anew from the caches, one daemon at a time, and tells of what differs
// from what was kept by deltas: there should be nothing, ever. What it finds is put right.
type scrubber struct {
	world  *world
	synced <-chan struct{}         // closed when everything there is was seen
	pods   func() toolscache.Store // what the cache has of pods, once that is so

	// suspects are pods that the world and the cache do not agree on, and since when. A pod that changed
	// is another suspect: at every look the event of one that changes often may be on its way.
	suspects map[podState]time.Time
}

// podState is a pod as it was at some time. A list after a gap in the watch has every pod in the
// cache anew, and tells nobody of those that did not change.
type podState struct {
	uid     types.UID
	version string
}

func (p *seenPod) state() podState { return podState{p.UID, p.version} }

var _ manager.Runnable = (*scrubber)(nil)

// Start looks at a daemon now and then until ctx ends.
func (s *scrubber) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.synced:
	}
	tick := time.NewTicker(scrubInterval)
	defer tick.Stop()
	var round []DaemonKey
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if len(round) == 0 {
			s.tell(ctx, DaemonKey{}, s.compare())
			for _, object := range s.world.objects() {
				round = append(round, keyOf(object))
			}
			continue
		}
		s.tell(ctx, round[0], s.world.audit(round[0]))
		round = round[1:]
	}
}

func (s *scrubber) tell(ctx context.Context, key DaemonKey, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	cellDrift.Add(float64(len(wrong)))
	const shown = 10
	log.FromContext(ctx).Error(nil, "what is known of a daemon had drifted and was put right; please report this",
		"namespace", key.Namespace, "uid", key.UID, "differences", len(wrong), "first", wrong[:min(shown, len(wrong))])
}

// compare has the world agree with the cache about pods. What they do not agree on for longer than
// an event is on its way is wrong.
func (s *scrubber) compare() (wrong []string) {
	store := s.pods()
	before := s.suspects
	s.suspects = map[podState]time.Time{}
	overdue := func(pod *seenPod) bool {
		since, suspected := before[pod.state()]
		if !suspected {
			since = s.world.now()
		}
		s.suspects[pod.state()] = since
		return s.world.now().Sub(since) >= scrubPatience
	}
	for _, object := range store.List() {
		if pod := object.(*seenPod); !s.world.knows(pod) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is not in its cell", pod.Namespace, pod.Name))
			s.world.podIs(pod)
		}
	}
	for _, pod := range s.world.known() {
		object, there, err := store.GetByKey(pod.Namespace + "/" + pod.Name)
		if err == nil && (!there || object.(*seenPod).UID != pod.UID) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is in a cell and not there", pod.Namespace, pod.Name))
			s.world.podLeft(pod)
		}
	}
	return wrong
}

// known are all pods that are in a cell.
func (w *world) known() (pods []*seenPod) {
	for last, more := (DaemonKey{}), true; more; {
		w.mu.Lock()
		owners := w.owners.after(last, batch)
		daemons := make([]*workload, len(owners))
		for i, key := range owners {
			daemons[i] = w.daemons[key]
		}
		w.unlock()
		for i, key := range owners {
			w.eachPod(key, daemons[i], func(pod *seenPod) { pods = append(pods, pod) })
			last = key
		}
		more = len(owners) == batch
	}
	return pods
}

// knows says whether a pod is where it belongs, in the state that it is in.
func (w *world) knows(pod *seenPod) bool {
	w.mu.Lock()
	defer w.unlock()
	_, due := w.claims.cellOf[pod.UID]
	known, had := w.pods[pod.UID]
	return due || had == pod.ours && (!had || known.state() == pod.state())
}

// audit derives a daemon's cells anew from the nodes and the pods that there are, says what was
// wrong, and puts it right.
func (w *world) audit(key DaemonKey) (wrong []string) {
	w.mu.Lock()
	known := w.daemons[key]
	if known == nil || known.object == nil || known.rules == nil || known.judging {
		w.unlock()
		return nil
	}
	rules := known.rules
	w.unlock()
	differs := func(node, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("node %s: ", node)+fmt.Sprintf(format, args...))
		w.changed(key.on(node))
	}
	w.judge(known, rules, func(node *corev1.Node, verdict daemon.Verdict) {
		differs(node.Name, "the verdict is %s", verdict.Reason)
	})
	w.eachCell(key, known, func(nodes []string) bool {
		w.auditNodes(key, known, nodes, differs)
		return true
	})
	for done := false; !done; {
		var some []string
		w.mu.Lock()
		some, done = known.cells.AuditSome(w.now(), batch)
		w.unlock()
		wrong = append(wrong, some...)
	}
	w.mu.Lock()
	defer w.unlock()
	w.goOn(key, known)
	return wrong
}

func (w *world) auditNodes(key DaemonKey, known *workload, nodes []string, differs func(node, format string, args ...any)) {
	for _, name := range nodes {
		if _, there := w.nodes[name]; !there && known.cells.RemoveNode(name, w.now()) {
			differs(name, "it is gone")
		}
		for _, uid := range known.cells.PodsOn(name) {
			if pod, there := w.pods[uid]; !there || pod.cell != key.on(name) {
				known.cells.RemovePod(name, uid, w.now())
				differs(name, "pod %s is not there", uid)
			}
		}
	}
}
