package memory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// API is an API server.
type API struct {
	// Mutate is mutating admission by webhooks and policies; nil for none.
	Mutate func(client.Object) error
	// Record receives each change and, before the changes that it causes, each request.
	Record func(history.Record)

	now      func() time.Time
	objects  map[history.Resource]map[types.NamespacedName]client.Object
	changes  map[history.Resource][]Change
	revision int64
	uids     int
}

// Change is a change of an object of a resource.
type Change struct {
	Revision int64
	Type     watch.EventType
	Object   client.Object // must not be changed; that of Deleted is the last state, with the revision of the deletion
}

// New returns an API server without objects.
func New(now func() time.Time) *API {
	return &API{
		Record: func(history.Record) {}, now: now,
		objects: map[history.Resource]map[types.NamespacedName]client.Object{}, changes: map[history.Resource][]Change{},
	}
}

// Revision returns the revision of the last change.
func (a *API) Revision() int64 { return a.revision }

// Get returns an object, which must not be changed; nil if there is none.
func (a *API) Get(resource history.Resource, namespace, name string) client.Object {
	return a.objects[resource][types.NamespacedName{Namespace: namespace, Name: name}]
}

// List returns the objects of a resource, by namespace and name. They must not be changed.
func (a *API) List(resource history.Resource) []client.Object { return sorted(a.objects[resource]) }

// ListAt returns the objects of a resource as they were at a revision.
func (a *API) ListAt(resource history.Resource, revision int64) []client.Object {
	objects := map[types.NamespacedName]client.Object{}
	for _, change := range a.changes[resource] {
		switch {
		case change.Revision > revision:
			return sorted(objects)
		case change.Type == watch.Deleted:
			delete(objects, client.ObjectKeyFromObject(change.Object))
		default:
			objects[client.ObjectKeyFromObject(change.Object)] = change.Object
		}
	}
	return sorted(objects)
}

func sorted(objects map[types.NamespacedName]client.Object) []client.Object {
	list := slices.AppendSeq(make([]client.Object, 0, len(objects)), maps.Values(objects))
	slices.SortFunc(list, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return list
}

// Change changes the state of an object, of all its subresources, if it still exists. A change of a DaemonSet's spec counts
// its generation.
func (a *API) Change(object client.Object, change func(client.Object)) {
	resource := ResourceOf(object)
	stored, there := a.objects[resource][client.ObjectKeyFromObject(object)]
	if !there || stored.GetUID() != object.GetUID() {
		return
	}
	next := clone(stored)
	change(next)
	generate(stored, next)
	a.update(resource, next)
}

// update stores the next state of an object. One that is being deleted is gone when nothing holds it any more.
func (a *API) update(resource history.Resource, next client.Object) {
	a.store(resource, next, watch.Modified)
	if grace := next.GetDeletionGracePeriodSeconds(); next.GetDeletionTimestamp() != nil && len(next.GetFinalizers()) == 0 && (grace == nil || *grace == 0) {
		a.remove(resource, clone(next))
	}
}

// store stores an object, unless nothing changed.
func (a *API) store(resource history.Resource, object client.Object, event watch.EventType) {
	key := client.ObjectKeyFromObject(object)
	if former, there := a.objects[resource][key]; there {
		object.SetResourceVersion(former.GetResourceVersion())
		if equality.Semantic.DeepEqual(former, object) {
			return
		}
	}
	a.revision++
	object.SetResourceVersion(strconv.FormatInt(a.revision, 10))
	if a.objects[resource] == nil {
		a.objects[resource] = map[types.NamespacedName]client.Object{}
	}
	a.objects[resource][key] = object
	a.note(resource, Change{a.revision, event, object})
}

func (a *API) remove(resource history.Resource, object client.Object) {
	a.revision++
	object.SetResourceVersion(strconv.FormatInt(a.revision, 10))
	delete(a.objects[resource], client.ObjectKeyFromObject(object))
	a.note(resource, Change{a.revision, watch.Deleted, object})
}

func (a *API) note(resource history.Resource, change Change) {
	a.changes[resource] = append(a.changes[resource], change)
	a.Record(history.Record{At: a.now(), Revision: change.Revision, Change: &history.Change{Type: change.Type, Resource: resource, Object: change.Object}})
}

// identify gives a new object its identity.
func (a *API) identify(object client.Object) {
	a.uids++
	object.SetUID(types.UID(fmt.Sprintf("uid-%06d", a.uids)))
	object.SetCreationTimestamp(metav1.NewTime(a.now()))
	object.SetGeneration(1)
}

func clone(object client.Object) client.Object { return object.DeepCopyObject().(client.Object) }
