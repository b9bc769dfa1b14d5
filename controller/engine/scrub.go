package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/controller/model"
)

// ScrubInterval is the time between two steps of the scrub. scrubPatience is how long what the cache
// shows may be on its way to the model.
const (
	ScrubInterval = 10 * time.Second
	scrubPatience = 30 * time.Second
)

// PodStore is what the cache has of pods.
type PodStore interface {
	List() []any
	GetByKey(key string) (object any, exists bool, err error)
}

// scrubber derives the cells again from the caches, one daemon at a time, and reports what differs
// from what was kept by deltas: there should be nothing, ever. What it finds is put right.
type scrubber struct {
	world *state
	pods  PodStore
	round []model.DaemonKey // still to be looked at

	// suspects are pods that the model and the cache do not agree on, and since when. A pod that changed
	// is another suspect: at every look the event of one that changes often may be on its way.
	suspects map[model.PodState]time.Time
}

// step looks at the pods, or at the next daemon.
func (s *scrubber) step(ctx context.Context) {
	if len(s.round) == 0 {
		s.tell(ctx, model.DaemonKey{}, s.compare())
		for _, object := range s.world.objects() {
			s.round = append(s.round, model.KeyOf(object))
		}
		return
	}
	s.tell(ctx, s.round[0], s.world.audit(s.round[0]))
	s.round = s.round[1:]
}

func (s *scrubber) tell(ctx context.Context, key model.DaemonKey, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	cellDrift.Add(float64(len(wrong)))
	const shown = 10
	log.FromContext(ctx).Error(nil, "The state of a daemon had drifted and was corrected; please report this",
		"namespace", key.Namespace, "uid", key.UID, "differences", len(wrong), "first", wrong[:min(shown, len(wrong))])
}

// compare has the model agree with the cache about pods. What they do not agree on for longer than
// an event is on its way is wrong.
func (s *scrubber) compare() (wrong []string) {
	before := s.suspects
	s.suspects = map[model.PodState]time.Time{}
	overdue := func(pod *model.Pod) bool {
		since, suspected := before[pod.State()]
		if !suspected {
			since = s.world.now()
		}
		s.suspects[pod.State()] = since
		return s.world.now().Sub(since) >= scrubPatience
	}
	for _, pod := range s.unknown() {
		if overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is not in its cell", pod.GetNamespace(), pod.Name))
			s.world.podIs(pod)
		}
	}
	for _, pod := range s.world.podsInCells() {
		object, there, err := s.pods.GetByKey(pod.GetNamespace() + "/" + pod.Name)
		if err == nil && (!there || object.(*model.Pod).UID != pod.UID) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is in a cell and does not exist", pod.GetNamespace(), pod.Name))
			s.world.podLeft(pod)
		}
	}
	return wrong
}

// unknown are pods that the cache has and the model does not, by name: a store has no order.
func (s *scrubber) unknown() (pods []*model.Pod) {
	for _, object := range s.pods.List() {
		if pod := object.(*model.Pod); !s.world.knows(pod) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.Name, b.Name))
	})
	return pods
}
