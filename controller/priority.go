package controller

import (
	schedulingv1 "k8s.io/api/scheduling/v1"
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

// classSeen takes a priority class as it is now. Its value cannot change, but it may be new.
func (w *world) classSeen(class *schedulingv1.PriorityClass) {
	w.mu.Lock()
	w.priorities.byClass[class.Name] = class.Value
	switch {
	case class.GlobalDefault:
		w.priorities.standard = class.Name
	case w.priorities.standard == class.Name:
		w.priorities.standard = ""
	}
	w.unlock()
	w.rank()
}

// ofClass are the daemons whose pods name a class.
func (w *world) ofClass(name string) []DaemonKey {
	var keys []DaemonKey
	w.eachDaemon(func(key DaemonKey, known *workload) {
		if known.object.Spec.Template.Spec.PriorityClassName == name {
			keys = append(keys, key)
		}
	})
	return keys
}

func (w *world) classGone(name string) {
	w.mu.Lock()
	delete(w.priorities.byClass, name)
	if w.priorities.standard == name {
		w.priorities.standard = ""
	}
	w.unlock()
	w.rank()
}

// rank gives every daemon the priority that its pods will have. Cells that are queued already
// keep their place.
func (w *world) rank() {
	w.eachDaemon(func(_ DaemonKey, known *workload) {
		known.priority = w.priorities.of(known.object.Spec.Template.Spec.PriorityClassName)
	})
}
