package model

import (
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// priorities are the values of priority classes. Cells are processed in the order of their pods' priority, across all
// daemons, so that on a node that joins, the network's daemon does not wait behind the rest (k/k#128442).
type priorities struct {
	byClass  map[string]int32
	standard string // the global default class; empty if there is none
}

// of returns the priority that pods of a class will have; 0 if the class does not exist.
func (p *priorities) of(class string) int32 {
	if class == "" {
		class = p.standard
	}
	return p.byClass[class]
}

// SeeClass applies the present state of a priority class. Its value is immutable, but the class may be recreated.
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

// rank updates the priority of every daemon. Cells that are already queued keep theirs.
func (u Update) rank() {
	u.later(&eachDaemon{f: func(u Update, _ daemon.WorkloadKey, known *tracked) {
		known.priority = u.priorities.of(known.workload.Template.Spec.PriorityClassName)
	}})
}
