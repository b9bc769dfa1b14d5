package simulation

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// view is what a client has seen of a resource: the objects of an earlier revision, and the cursor of its watch.
type view struct {
	api      *memory.API
	resource history.Resource
	objects  map[client.ObjectKey]client.Object
	cursor   *memory.Cursor // nil until it has listed
	listed   int64          // the revision of the last list
	seen     int64          // the revision of the last change
}

func newView(api *memory.API, resource history.Resource) view {
	return view{api: api, resource: resource, objects: map[client.ObjectKey]client.Object{}}
}

// event is a difference between what a client knew and what it has seen.
type event struct {
	kind           watch.EventType
	former, object client.Object // former is nil for an object that was not known
}

// list returns the differences to a revision, and watches from there. As in client-go, objects that are gone come last.
func (v *view) list(revision int64) (events []event) {
	listed := map[client.ObjectKey]bool{}
	for _, object := range v.api.ListAt(v.resource, revision) {
		listed[client.ObjectKeyFromObject(object)] = true
		events = append(events, v.set(object)...)
	}
	for _, key := range v.keys() {
		if !listed[key] {
			events = append(events, event{watch.Deleted, v.objects[key], v.objects[key]})
			delete(v.objects, key)
		}
	}
	v.cursor, v.listed, v.seen = v.api.Watch(v.resource, revision), revision, revision
	return events
}

func (v *view) set(object client.Object) []event {
	key := client.ObjectKeyFromObject(object)
	former, known := v.objects[key]
	v.objects[key] = object
	switch {
	case !known:
		return []event{{watch.Added, nil, object}}
	case former.GetResourceVersion() == object.GetResourceVersion():
		return nil
	}
	return []event{{watch.Modified, former, object}}
}

// next returns the next event of the watch; none if the object is not known.
func (v *view) next() []event {
	change := v.cursor.Next()
	v.seen = change.Revision
	if change.Type != watch.Deleted {
		return v.set(change.Object)
	}
	key := client.ObjectKeyFromObject(change.Object)
	former, known := v.objects[key]
	if !known {
		return nil
	}
	delete(v.objects, key)
	return []event{{watch.Deleted, former, change.Object}}
}

// pending reports whether there is anything to list or to read.
func (v *view) pending() bool { return v.cursor == nil || v.cursor.Pending() > 0 }

func (v *view) keys() []client.ObjectKey {
	return slices.SortedFunc(maps.Keys(v.objects), compareKeys)
}

// all returns the objects, by namespace and name.
func all[T client.Object](v *view) []T {
	objects := make([]T, 0, len(v.objects))
	for _, key := range v.keys() {
		objects = append(objects, v.objects[key].(T))
	}
	return objects
}
