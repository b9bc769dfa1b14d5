package engine

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
	"github.com/everynode/everynode/internal/daemon"
)

// active returns all served daemons, sorted by namespace and name.
func active(of *state.State) (workloads []*daemon.Workload) {
	of.Run(model.Active(&workloads))
	slices.SortFunc(workloads, func(a, b *daemon.Workload) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key.UID, b.Key.UID))
	})
	return workloads
}

// newSampler returns a sampler of the pods that are emitted for served daemons.
func newSampler(of *state.State) *placement.Sampler {
	return placement.NewSampler(func() map[string]map[string]func() *corev1.Pod {
		pods := map[string]map[string]func() *corev1.Pod{}
		of.Run(model.EmittedPods(pods))
		return pods
	})
}
