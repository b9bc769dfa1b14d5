package engine

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/controller/state"
)

// active returns all daemons that are kept up, sorted by namespace and name.
func active(of *state.State) (objects []*v1alpha1.DaemonSet) {
	of.Run(model.Active(&objects))
	slices.SortFunc(objects, func(a, b *v1alpha1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return objects
}

// newSampler returns a sampler of the pods that are emitted for daemons that are kept up.
func newSampler(of *state.State) *placement.Sampler {
	return placement.NewSampler(func() map[string]map[string]func() *corev1.Pod {
		pods := map[string]map[string]func() *corev1.Pod{}
		of.Run(model.EmittedPods(pods))
		return pods
	})
}
