package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// ScrubInterval is the time between two steps of the scrub. scrubPatience is how long a change in the cache may
// take to reach the model.
const (
	ScrubInterval = 10 * time.Second
	scrubPatience = 30 * time.Second
)

// PodStore is the cache's store of pods.
type PodStore interface {
	List() []any
	GetByKey(key string) (object any, exists bool, err error)
}

// scrubber derives the cells from the caches again, one daemon at a time, and reports and corrects differences
// from the sums that are updated by deltas. There should be none.
type scrubber struct {
	state *state.State
	pods  PodStore
	round []daemon.WorkloadKey // still to be checked

	// suspects are pods on which the model and the cache disagree, and when that began. A pod that changed is
	// another suspect, because the event of a frequently changing one may be in flight at every check.
	suspects map[model.PodState]time.Time
}

// step checks the pods, or the next daemon.
func (s *scrubber) step(ctx context.Context) {
	if len(s.round) == 0 {
		s.report(ctx, daemon.WorkloadKey{}, s.compare())
		for _, workload := range active(s.state) {
			s.round = append(s.round, workload.Key)
		}
		return
	}
	s.report(ctx, s.round[0], s.audit(s.round[0]))
	s.round = s.round[1:]
}

func (s *scrubber) report(ctx context.Context, key daemon.WorkloadKey, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	cellDrift.Add(float64(len(wrong)))
	const shown = 10
	log.FromContext(ctx).Error(nil, "The state of a daemon had drifted and was corrected; please report this",
		"namespace", key.Namespace, "uid", key.UID, "differences", len(wrong), "first", wrong[:min(shown, len(wrong))])
}

// compare aligns the model with the cache's pods. A difference that lasts longer than an event is in flight is
// an error.
func (s *scrubber) compare() (wrong []string) {
	before := s.suspects
	s.suspects = map[model.PodState]time.Time{}
	overdue := func(pod *model.Pod) bool {
		since, suspected := before[pod.State()]
		if !suspected {
			since = s.state.Now()
		}
		s.suspects[pod.State()] = since
		return s.state.Now().Sub(since) >= scrubPatience
	}
	for _, pod := range s.unknown() {
		if overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is not in its cell", pod.GetNamespace(), pod.Name))
			s.state.Update(func(u model.Update) { u.SeePod(pod) })
		}
	}
	inCells := &model.PodsInCells{}
	s.state.Run(inCells)
	for _, pod := range inCells.Pods {
		object, there, err := s.pods.GetByKey(pod.GetNamespace() + "/" + pod.Name)
		if err == nil && (!there || object.(*model.Pod).UID != pod.UID) && overdue(pod) {
			wrong = append(wrong, fmt.Sprintf("pod %s/%s is in a cell and does not exist", pod.GetNamespace(), pod.Name))
			s.state.Update(func(u model.Update) { u.ForgetPod(pod) })
		}
	}
	return wrong
}

// unknown returns the pods that the cache has and the model does not, by name, because a store has no order.
func (s *scrubber) unknown() (pods []*model.Pod) {
	for _, object := range s.pods.List() {
		if pod := object.(*model.Pod); !s.knows(pod) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

func (s *scrubber) knows(pod *model.Pod) (knows bool) {
	s.state.Update(func(u model.Update) { knows = u.Knows(pod) })
	return knows
}

func (s *scrubber) audit(key daemon.WorkloadKey) (wrong []string) {
	s.state.Update(func(u model.Update) { u.Audit(key, &wrong) })
	return wrong
}
