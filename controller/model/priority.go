package model

import (
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// priorities are what priority classes are worth. A daemon's cells are worked on in the order of
// its pods' priority, across all daemons, so that on a node that joins the network's daemon is
// never queued behind the rest (k/k#128442).
type priorities struct {
	byClass  map[string]int32
	standard string // the class of pods that name none; empty when there is no such class
}

// of is the priority that pods of a class will have; 0 for a class that is not there.
func (p *priorities) of(class string) int32 {
	if class == "" {
		class = p.standard
	}
	return p.byClass[class]
}

// SeeClass takes a priority class as it is now. Its value cannot change, but it may be new.
func (u Update) SeeClass(class *schedulingv1.PriorityClass) {
	u.priorities.byClass[class.Name] = class.Value
	switch {
	case class.GlobalDefault:
		u.priorities.standard = class.Name
	case u.priorities.standard == class.Name:
		u.priorities.standard = ""
	}
	u.rank()
}

func (u Update) ForgetClass(name string) {
	delete(u.priorities.byClass, name)
	if u.priorities.standard == name {
		u.priorities.standard = ""
	}
	u.rank()
}

// rank gives every daemon the priority that its pods will have. Cells that are queued already
// keep their place.
func (u Update) rank() {
	u.later(&eachDaemon{f: func(u Update, _ daemon.WorkloadKey, known *tracked) {
		known.priority = u.priorities.of(known.workload.Template.Spec.PriorityClassName)
	}})
}
