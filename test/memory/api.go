package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// API is an API server. It implements those methods of client.Client that the engine calls; the others panic.
type API struct {
	client.Client
	// Admit is mutating admission of a create; nil for none.
	Admit func(client.Object) error
	// Fault decides the outcome of a request; nil means Served.
	Fault func(verb string, object client.Object) Fault
	// Log receives a line for each request.
	Log func(format string, args ...any)

	now      func() time.Time
	scheme   *runtime.Scheme
	objects  map[string]map[types.NamespacedName]client.Object // by kind, as in Pod
	events   []Event
	versions int
	uids     int
}

// Event is an event of a watch.
type Event struct {
	Type   watch.EventType
	Kind   string
	Object client.Object // must not be changed
}

// Fault is the outcome of a request.
type Fault int

const (
	// Served means that the request is executed and answered.
	Served Fault = iota
	// LostRequest means that the request never reaches the API server.
	LostRequest
	// LostAnswer means that the request is executed, and its answer lost.
	LostAnswer
	// Refused means that a quota refuses the request.
	Refused
)

// New returns an API server without objects, for the types of a scheme.
func New(scheme *runtime.Scheme, now func() time.Time) *API {
	return &API{now: now, scheme: scheme, Log: func(string, ...any) {}, objects: map[string]map[types.NamespacedName]client.Object{}}
}

// Events returns the events since the last call, in order.
func (a *API) Events() []Event {
	events := a.events
	a.events = nil
	return events
}

// Objects returns copies of all objects of a kind, by namespace and name.
func (a *API) Objects(kind string) []client.Object {
	keys := slices.SortedFunc(maps.Keys(a.objects[kind]), func(a, b types.NamespacedName) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	objects := make([]client.Object, len(keys))
	for i, key := range keys {
		objects[i] = clone(a.objects[kind][key])
	}
	return objects
}

// Change changes an object as another client would, and optionally increments its generation.
func (a *API) Change(object client.Object, change func(client.Object), generation bool) {
	kind := a.kindOf(object)
	stored, there := a.objects[kind][client.ObjectKeyFromObject(object)]
	if !there {
		return
	}
	next := clone(stored)
	change(next)
	if generation {
		next.SetGeneration(next.GetGeneration() + 1)
	}
	a.store(kind, next, watch.Modified)
}

// Remove removes an object, regardless of finalizers and grace periods.
func (a *API) Remove(object client.Object) {
	kind, key := a.kindOf(object), client.ObjectKeyFromObject(object)
	if stored, there := a.objects[kind][key]; there {
		a.remove(kind, clone(stored))
	}
}

// Get implements client.Reader.
func (a *API) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	kind := a.kindOf(object)
	err := a.serve("get", kind, key, nil, object, func() error {
		stored, there := a.objects[kind][key]
		if !there {
			return apierrors.NewNotFound(resource(kind), key.Name)
		}
		return into(stored, object)
	})
	return err
}

// Create implements client.Writer.
func (a *API) Create(_ context.Context, object client.Object, options ...client.CreateOption) error {
	kind, key := a.kindOf(object), client.ObjectKeyFromObject(object)
	dry := len((&client.CreateOptions{}).ApplyOptions(options).DryRun) > 0
	verb := "create"
	if dry {
		verb = "try"
	}
	return a.serve(verb, kind, key, object, object, func() error {
		made := clone(object)
		if a.Admit != nil {
			if err := a.Admit(made); err != nil {
				return err
			}
		}
		if pod, ok := made.(*corev1.Pod); ok && pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
			return apierrors.NewInvalid(schema.GroupKind{Kind: kind}, key.Name, field.ErrorList{
				field.Forbidden(field.NewPath("spec", "nodeName"), "cannot be set until all schedulingGates have been cleared"),
			})
		}
		if _, there := a.objects[kind][key]; there {
			return apierrors.NewAlreadyExists(resource(kind), key.Name)
		}
		if dry {
			return nil
		}
		a.uids++
		made.SetUID(types.UID(fmt.Sprintf("uid-%06d", a.uids)))
		made.SetCreationTimestamp(metav1.NewTime(a.now()))
		made.SetGeneration(1)
		a.store(kind, made, watch.Added)
		return into(made, object)
	})
}

// Delete implements client.Writer. A bound pod that runs is terminating until Remove.
func (a *API) Delete(_ context.Context, object client.Object, options ...client.DeleteOption) error {
	kind, key := a.kindOf(object), client.ObjectKeyFromObject(object)
	preconditions := (&client.DeleteOptions{}).ApplyOptions(options).Preconditions
	return a.serve("delete", kind, key, preconditions, object, func() error {
		stored, there := a.objects[kind][key]
		if !there {
			return apierrors.NewNotFound(resource(kind), key.Name)
		}
		if preconditions != nil {
			if err := a.match(kind, stored, preconditions.UID, preconditions.ResourceVersion); err != nil {
				return err
			}
		}
		gone := clone(stored)
		if pod, ok := gone.(*corev1.Pod); ok && pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
			if pod.DeletionTimestamp == nil {
				now := metav1.NewTime(a.now())
				pod.DeletionTimestamp = &now
				a.store(kind, pod, watch.Modified)
			}
			return nil
		}
		a.remove(kind, gone)
		return nil
	})
}

// Patch implements client.Writer.
func (a *API) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return a.patch("patch", object, patch)
}

// Status implements client.StatusClient.
func (a *API) Status() client.SubResourceWriter { return status{api: a} }

// Scheme implements client.Client.
func (a *API) Scheme() *runtime.Scheme { return a.scheme }

// serve executes a request, unless a fault prevents it, and logs it.
func (a *API) serve(verb, kind string, key types.NamespacedName, body any, object client.Object, do func() error) error {
	fault := Served
	if a.Fault != nil {
		fault = a.Fault(verb, object)
	}
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = " " + string(data)
	}
	var err error
	switch fault {
	case LostRequest:
		err = errors.New("connection refused")
	case Refused:
		err = apierrors.NewForbidden(resource(kind), key.Name, errors.New("exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"))
	case LostAnswer:
		_ = do()
		err = errors.New("connection reset by peer")
	default:
		err = do()
	}
	answer := "done"
	if err != nil {
		answer = err.Error()
	}
	a.Log("%s %s %s%s: %s", verb, kind, key, text, answer)
	return err
}

// match compares an object with preconditions.
func (a *API) match(kind string, stored client.Object, uid *types.UID, version *string) error {
	if uid != nil && *uid != stored.GetUID() {
		return apierrors.NewConflict(resource(kind), stored.GetName(), errors.New("the UID in the precondition does not match"))
	}
	if version != nil && *version != stored.GetResourceVersion() {
		return apierrors.NewConflict(resource(kind), stored.GetName(), errors.New("the object has been modified"))
	}
	return nil
}

// store stores an object and adds an event, unless nothing changed.
func (a *API) store(kind string, object client.Object, event watch.EventType) {
	if former, there := a.objects[kind][client.ObjectKeyFromObject(object)]; there {
		object.SetResourceVersion(former.GetResourceVersion())
		if equality.Semantic.DeepEqual(former, object) {
			return
		}
	}
	a.versions++
	object.SetResourceVersion(strconv.Itoa(a.versions))
	if a.objects[kind] == nil {
		a.objects[kind] = map[types.NamespacedName]client.Object{}
	}
	a.objects[kind][client.ObjectKeyFromObject(object)] = object
	a.events = append(a.events, Event{event, kind, clone(object)})
}

func (a *API) remove(kind string, object client.Object) {
	a.versions++
	object.SetResourceVersion(strconv.Itoa(a.versions))
	delete(a.objects[kind], client.ObjectKeyFromObject(object))
	a.events = append(a.events, Event{watch.Deleted, kind, object})
}

// kindOf returns the kind of an object, with its group where several groups have it.
func (a *API) kindOf(object client.Object) string {
	kind := object.GetObjectKind().GroupVersionKind()
	if kind.Empty() {
		kinds, _, err := a.scheme.ObjectKinds(object)
		if err != nil {
			panic(err)
		}
		kind = kinds[0]
	}
	if kind.Kind == "DaemonSet" {
		return kind.GroupKind().String()
	}
	return kind.Kind
}

func resource(kind string) schema.GroupResource {
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: kind})
	return plural.GroupResource()
}

func clone(object client.Object) client.Object { return object.DeepCopyObject().(client.Object) }

// into copies an object into another one, whose type may have fewer fields.
func into(from, to client.Object) error {
	if reflect.TypeOf(from) == reflect.TypeOf(to) {
		reflect.ValueOf(to).Elem().Set(reflect.ValueOf(clone(from)).Elem())
		return nil
	}
	kind := to.GetObjectKind().GroupVersionKind()
	data, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	to.GetObjectKind().SetGroupVersionKind(kind)
	return err
}
