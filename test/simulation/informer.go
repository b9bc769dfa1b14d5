package simulation

import (
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// informer brings what a controller sees of a resource to its engine, in the form that the product's caches keep.
type informer struct {
	view
	process *process
	trimmed map[client.ObjectKey]any
	handle  func(kind watch.EventType, former, object any)
	frozen  bool // its watch delivers nothing
}

// newInformers returns an informer for each resource that the engine observes.
func newInformers(p *process) (informers []*informer) {
	add := func(resource history.Resource, handle func(watch.EventType, any, any)) {
		informers = append(informers, &informer{view: newView(p.cluster.api, resource), process: p, trimmed: map[client.ObjectKey]any{}, handle: handle})
	}
	e, kinds := p.engine, p.cluster.kinds
	if kinds.Everynode {
		add(history.DaemonSets, handler(e.DaemonSets()))
		add(history.RuntimeClasses, handler(e.RuntimeClasses()))
	}
	if kinds.Apps {
		add(history.NativeDaemonSets, handler(e.DaemonSets()))
	}
	add(history.Pods, handler(e.Pods()))
	add(history.Nodes, handler(e.Nodes()))
	add(history.ControllerRevisions, handler(e.ControllerRevisions()))
	add(memory.Namespaces, handler(e.Namespaces()))
	add(memory.ResourceQuotas, handler(e.ResourceQuotas()))
	add(memory.PriorityClasses, handler(e.PriorityClasses()))
	add(history.ConfigMaps, handler(e.ConfigMaps()))
	add(memory.PodDisruptionBudgets, handler(e.PodDisruptionBudgets()))
	return informers
}

func handler[T any](observer engine.Observer[T]) func(watch.EventType, any, any) {
	return func(kind watch.EventType, former, object any) {
		switch {
		case kind == watch.Deleted && observer.Deleted != nil:
			observer.Deleted(object.(T))
		case kind == watch.Modified && observer.Updated != nil:
			observer.Updated(former.(T), object.(T))
		case kind == watch.Added && observer.Added != nil:
			observer.Added(object.(T))
		}
	}
}

// step lists, or delivers the next event of the watch.
func (i *informer) step() {
	if i.cursor == nil {
		i.relist(i.process.since)
		if i.resource == history.ConfigMaps {
			i.process.engine.ConfigMapsListed()
		}
		return
	}
	i.deliver(i.next())
}

// relist replaces what is known by a list at a revision, at the earliest that of the last event.
func (i *informer) relist(revision int64) { i.deliver(i.list(revision)) }

// resync repeats what is known of an object.
func (i *informer) resync(key client.ObjectKey) {
	i.handle(watch.Modified, i.trimmed[key], i.trimmed[key])
}

func (i *informer) deliver(events []event) {
	for _, event := range events {
		key := client.ObjectKeyFromObject(event.object)
		former := i.trimmed[key]
		object, err := caches.Trim(i.process.cluster.kinds, event.object)
		if err != nil {
			panic(err) // no transform of the product returns an error
		}
		if event.kind == watch.Deleted {
			delete(i.trimmed, key)
		} else {
			i.trimmed[key] = object
		}
		if i.unsettles(&event) {
			i.process.forgot = i.process.see(history.Pods).seen
		}
		i.handle(event.kind, former, object)
	}
}

// unsettles reports whether the engine may not know after an event which cells earlier pods were in: a node came or went, or a DaemonSet is
// served that was not.
func (i *informer) unsettles(e *event) bool {
	if i.resource == history.Nodes {
		return e.kind != watch.Modified || e.former.GetUID() != e.object.GetUID()
	}
	return i.resource == history.DaemonSets && e.kind == watch.Modified && !served(e.former) && served(e.object)
}

func served(stored client.Object) bool {
	_, problem := daemon.Selector(fixture.Workload(fixture.FromStored(stored)))
	return problem == nil
}

// coalesce replaces the next changes by the differences that they make, as a list at the revision of the last one does.
func (i *informer) coalesce(changes int) {
	var revision int64
	for range changes {
		revision = i.cursor.Next().Revision
	}
	i.relist(revision)
}
