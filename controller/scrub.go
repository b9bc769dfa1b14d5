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
	world  *state
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
	for _, pod := range s.world.podsInCells() {
		object, there, err := store.GetByKey(pod.Namespace + "/" + pod.Name)
		if err == nil && (!there || object.(*seenPod).UID != pod.UID) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is in a cell and not there", pod.Namespace, pod.Name))
			s.world.podLeft(pod)
		}
	}
	return wrong
}

// podsInCells collects all pods that are in a cell.
type podsInCells struct {
	locked
	pods []*seenPod

	owner DaemonKey // the one that is looked at
	cells work      // its pods; nil before the first owner
}

func (p *podsInCells) step(u update) (more bool) {
	if p.cells != nil && p.cells.step(u) {
		return true
	}
	next := u.owners.after(p.owner, 1)
	if len(next) == 0 {
		return false
	}
	p.owner = next[0]
	p.cells = eachPod(p.owner, u.daemons[p.owner], func(_ update, pod *seenPod) { p.pods = append(p.pods, pod) })
	return true
}

// knows reports whether a pod is where it belongs, in the state that it is in.
func (u update) knows(pod *seenPod) bool {
	_, due := u.claims.cellOf[pod.UID]
	known, had := u.pods[pod.UID]
	return due || had == pod.ours && (!had || known.state() == pod.state())
}

// audit derives a daemon's cells again from the nodes and the pods that there are, puts right what was wrong,
// and collects it.
func (u update) audit(key DaemonKey, wrong *[]string) {
	known := u.daemons[key]
	if known == nil || known.object == nil || known.rules == nil || known.judging {
		return
	}
	differs := func(u update, node, format string, args ...any) {
		*wrong = append(*wrong, fmt.Sprintf("node %s: ", node)+fmt.Sprintf(format, args...))
		u.changed(key.on(node))
	}
	u.later(&sequence{
		&judgeNodes{known: known, rules: known.rules, news: func(u update, node *corev1.Node, verdict daemon.Verdict) {
			differs(u, node.Name, "the verdict is %s", verdict.Reason)
		}},
		&eachCell{key: key, known: known, f: func(u update, nodes []string) bool {
			u.auditNodes(key, known, nodes, differs)
			return true
		}},
		&auditSums{known: known, wrong: wrong},
		once(func(u update) { u.goOn(key, known) }),
	})
}

// auditSums counts a daemon's cells and compares them with the sums.
type auditSums struct {
	locked
	known *workload
	wrong *[]string
}

func (a *auditSums) step(u update) (more bool) {
	some, done := a.known.cells.AuditSome(u.now, batch)
	*a.wrong = append(*a.wrong, some...)
	return !done
}

func (u update) auditNodes(key DaemonKey, known *workload, nodes []string, differs func(u update, node, format string, args ...any)) {
	for _, name := range nodes {
		if _, there := u.nodes[name]; !there && known.cells.RemoveNode(name, u.now) {
			differs(u, name, "it is gone")
		}
		for _, uid := range known.cells.PodsOn(name) {
			if pod, there := u.pods[uid]; !there || pod.cell != key.on(name) {
				known.cells.RemovePod(name, uid, u.now)
				differs(u, name, "pod %s is not there", uid)
			}
		}
	}
}
