// Package schedplugin is what everynode-scheduler adds to kube-scheduler: plugins, each in a folder
// of its own, and how it says why a pod is pending.
package schedplugin

import (
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/everynode/everynode/schedplugin/nodescoped"
	"github.com/everynode/everynode/schedplugin/pending"
	"github.com/everynode/everynode/schedplugin/podaffinity"
	"github.com/everynode/everynode/schedplugin/preemption"
	"github.com/everynode/everynode/schedplugin/silence"
	"github.com/everynode/everynode/schedplugin/uniqueness"
)

// Registry holds the plugins, for a scheduler to be built with.
func Registry() runtime.Registry {
	registry := nodescoped.Registry()
	registry[podaffinity.Name] = podaffinity.New
	registry[preemption.Name] = preemption.New
	registry[uniqueness.Name] = uniqueness.New
	return registry
}

// Options of what plugins cannot do.
type Options struct {
	// ScheduledEvents has the event Scheduled written about daemons' pods, as it is about other pods.
	ScheduledEvents bool
}

// Extend adds to a scheduler, built and not yet run, what plugins cannot.
func Extend(sched *scheduler.Scheduler, options Options) {
	if !options.ScheduledEvents {
		silence.Profiles(sched.Profiles)
	}
	sched.FailureHandler = pending.Explain(sched.FailureHandler)
}
