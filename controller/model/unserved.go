package model

import (
	"cmp"
	"errors"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// A DaemonSet that cannot be served is one whose spec cannot be decoded, or from which no pods can be
// made. Nothing is done for it: the pods that it has stay, also where an earlier spec would have them
// replaced, for to go on with a spec that is no longer there would surprise more than to stop. After a
// restart nothing else is known of it either. Its status says why, until it is corrected or deleted.

// terms are what a daemon is served by.
type terms struct {
	selector labels.Selector
	id       daemon.TemplateID
	rules    *daemon.Rules
}

// servable takes from a daemon what it is served by; the problem is why it cannot be.
func servable(object *v1alpha1.DaemonSet, wrong error) (terms, *daemon.Problem) {
	if wrong != nil {
		return terms{}, daemon.Undecodable(wrong)
	}
	if err := cmp.Or(daemon.CheckTemplate(&object.Spec.Template), daemon.CheckQuantities(&object.Spec.Template), daemon.CheckSelector(object.Spec.Selector)); err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonTooLarge, Message: err.Error()}
	}
	selector, problem := daemon.Selector(object)
	if problem != nil {
		return terms{}, problem
	}
	id, err := daemon.Identify(object)
	if err != nil {
		return terms{}, &daemon.Problem{Reason: daemon.ReasonInvalidTemplate, Message: err.Error()}
	}
	return terms{selector, id, daemon.NewRules(&object.Spec.Template)}, nil
}

// unserve has nothing done for a daemon any more. The error is the problem, when that is news.
func (u Update) unserve(key DaemonKey, object *v1alpha1.DaemonSet, problem *daemon.Problem) error {
	known := u.workload(key)
	news := known.unserved == nil || *known.unserved != *problem
	known.name, known.object, known.unserved, known.revisionResolved = object.Name, object, problem, false
	u.Report(key)
	if !news {
		return nil
	}
	return errors.New(problem.Message)
}

// Unserved is a daemon that cannot be served, and why; the object is nil for one that can be, and for
// one that is being deleted.
func (u Update) Unserved(key DaemonKey) (*v1alpha1.DaemonSet, daemon.Problem) {
	known := u.daemons[key]
	if known == nil || known.object == nil || known.unserved == nil || known.object.DeletionTimestamp != nil {
		return nil, daemon.Problem{}
	}
	return known.object, *known.unserved
}
