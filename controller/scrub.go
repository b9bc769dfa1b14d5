package controller

import (
	"context"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/everynode/everynode/controller/model"
)

// scrubInterval is the time between two daemons that are looked at. scrubPatience is how long what
// the cache shows may be on its way to the model.
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

	// suspects are pods that the model and the cache do not agree on, and since when. A pod that changed
	// is another suspect: at every look the event of one that changes often may be on its way.
	suspects map[model.PodState]time.Time
}

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
	var round []model.DaemonKey
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if len(round) == 0 {
			s.tell(ctx, model.DaemonKey{}, s.compare())
			for _, object := range s.world.objects() {
				round = append(round, model.KeyOf(object))
			}
			continue
		}
		s.tell(ctx, round[0], s.world.audit(round[0]))
		round = round[1:]
	}
}

func (s *scrubber) tell(ctx context.Context, key model.DaemonKey, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	cellDrift.Add(float64(len(wrong)))
	const shown = 10
	log.FromContext(ctx).Error(nil, "what is known of a daemon had drifted and was put right; please report this",
		"namespace", key.Namespace, "uid", key.UID, "differences", len(wrong), "first", wrong[:min(shown, len(wrong))])
}

// compare has the model agree with the cache about pods. What they do not agree on for longer than
// an event is on its way is wrong.
func (s *scrubber) compare() (wrong []string) {
	store := s.pods()
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
	for _, object := range store.List() {
		if pod := object.(*model.Pod); !s.world.knows(pod) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is not in its cell", pod.GetNamespace(), pod.Name))
			s.world.podIs(pod)
		}
	}
	for _, pod := range s.world.podsInCells() {
		object, there, err := store.GetByKey(pod.GetNamespace() + "/" + pod.Name)
		if err == nil && (!there || object.(*model.Pod).UID != pod.UID) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is in a cell and not there", pod.GetNamespace(), pod.Name))
			s.world.podLeft(pod)
		}
	}
	return wrong
}
