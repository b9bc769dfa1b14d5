// Package schedplugin contains everynode-scheduler's additions to kube-scheduler: plugins, each in its own
// folder, and the messages of pending pods.
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

// Registry returns the plugins.
func Registry() runtime.Registry {
	registry := nodescoped.Registry()
	registry[podaffinity.Name] = podaffinity.New
	registry[preemption.Name] = preemption.New
	registry[uniqueness.Name] = uniqueness.New
	return registry
}

// Options are settings beyond those of plugins.
type Options struct {
	// ScheduledEvents enables the event Scheduled for daemons' pods.
	ScheduledEvents bool
}

// Extend adds features that plugins cannot provide to a scheduler that is built and not yet running.
func Extend(sched *scheduler.Scheduler, options Options) {
	if !options.ScheduledEvents {
		silence.Profiles(sched.Profiles)
	}
	sched.FailureHandler = pending.Explain(sched.FailureHandler)
}
