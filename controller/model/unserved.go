package model

import (
	"cmp"
	"errors"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/internal/daemon"
)

// A DaemonSet cannot be served if its spec cannot be decoded, or no pods can be created from it. Nothing is
// done for it: its pods stay, even if an earlier spec would replace them, because continuing with a spec that
// no longer exists would be more surprising than stopping. After a restart nothing else is known of it either.
// Its status shows the reason until it is corrected or deleted.

// terms are the parsed parts of a daemon that is served.
type terms struct {
	selector labels.Selector
	id       daemon.TemplateID
	rules    *daemon.Rules
	hold     *daemon.Hold // nil without a rollout
}

// servable parses a daemon; the problem is why it cannot be served.
func servable(workload *daemon.Workload) (terms, *daemon.Problem) {
	if workload.Undecodable != nil {
		return terms{}, daemon.Undecodable(workload.Undecodable)
	}
	if err := cmp.Or(daemon.CheckTemplate(workload.Template), daemon.CheckQuantities(workload.Template), daemon.CheckSelector(workload.Selector)); err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonTooLarge, Message: err.Error()}
	}
	selector, problem := daemon.Selector(workload)
	if problem != nil {
		return terms{}, problem
	}
	id, err := daemon.Identify(workload)
	if err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonInvalidTemplate, Message: err.Error()}
	}
	var hold *daemon.Hold
	if workload.Rollout != nil {
		if hold, err = daemon.NewHold(workload.Rollout); err != nil {
			return terms{}, &daemon.Problem{Reason: daemon.ReasonInvalidRollout, Message: err.Error()}
		}
	}
	return terms{selector, id, daemon.NewRules(workload.Template), hold}, nil
}

// unserve stops serving a daemon. The error is the problem, if that is new.
func (u Update) unserve(key daemon.WorkloadKey, workload *daemon.Workload, problem *daemon.Problem) error {
	known := u.track(key)
	news := known.unserved == nil || *known.unserved != *problem
	known.workload, known.unserved, known.resolution = workload, problem, resolution{}
	u.Report(key)
	if !news {
		return nil
	}
	return errors.New(problem.Message)
}

// Unserved returns a daemon that cannot be served, and why; the workload is nil for one that can be, and for one
// that is being deleted.
func (u Update) Unserved(key daemon.WorkloadKey) (*daemon.Workload, daemon.Problem) {
	known := u.daemons[key]
	if known == nil || known.workload == nil || known.unserved == nil || known.workload.Terminating {
		return nil, daemon.Problem{}
	}
	return known.workload, *known.unserved
}
