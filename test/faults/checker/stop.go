package checker

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// stopped is a state of the emergency stop, and the index of the record since which it holds.
type stopped struct {
	from int
	on   bool
}

func (s *state) stopChanged(object client.Object, gone bool) {
	config, ok := object.(*corev1.ConfigMap)
	if !ok || config.Namespace != v1alpha1.SystemNamespace || config.Name != v1alpha1.StopName {
		return
	}
	s.stops = append(s.stops, stopped{s.at, !gone && config.Data[v1alpha1.StopKey] == "true"})
}

// stoppedSince reports whether the emergency stop was on in all states since the one before a record.
func (s *state) stoppedSince(from int) bool {
	for _, state := range slices.Backward(s.stops) {
		if !state.on || state.from < from {
			return state.on
		}
	}
	return false
}

// judgeStopped judges E1 when a delete takes effect on an available pod: an eligible node does not lose its only pod while the emergency
// stop is on in all states of the window.
func (s *state) judgeStopped(p *pod, c *cell, removal *removal) {
	if len(s.stops) == 0 || removal.unknown || !removal.by(s) || s.gaps.now || !s.requests.recorded {
		return
	}
	r := removal.request
	w := s.window(r.Request, r.time)
	w.from = min(w.from, r.at)
	if s.gaps.within(w.from, history.Pods, history.Nodes, history.RuntimeClasses, history.ConfigMaps, c.daemon.kind) {
		s.unjudged(E1)
		return
	}
	s.judged(E1)
	another := len(c.pods) > 1 || p.at >= w.from || c.last != nil && c.last.goneAt >= w.from // which may have been better
	suspended := slices.ContainsFunc(c.daemon.specsSince(w.from), func(spec *spec) bool { return spec.suspended })
	if another || suspended || !s.stoppedSince(w.from) || !s.eligible(c, w) {
		return
	}
	s.violated(E1, c.key(), "pod %s is deleted although the emergency stop is on", p.object.Name)
}
