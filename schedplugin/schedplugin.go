// Package schedplugin is what everynode-scheduler adds to kube-scheduler: plugins, each in a folder
// of its own, and how it says why a pod is pending.
package schedplugin

import (
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/everynode/everynode/schedplugin/pending"
	"github.com/everynode/everynode/schedplugin/preemption"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

// Registry holds the plugins, for a scheduler to be built with.
func Registry() runtime.Registry {
	return runtime.Registry{
		uniqueness.Name: uniqueness.New,
		preemption.Name: preemption.New,
	}
}

// Extend adds to a scheduler, built and not yet run, what plugins cannot.
func Extend(sched *scheduler.Scheduler) {
	sched.FailureHandler = pending.Explain(sched.FailureHandler)
}
