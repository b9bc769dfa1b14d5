// Package podevents separates a pod from its successor of the same name.
//
// An informer's store identifies objects by name. When a pod is deleted and another one of its name is created
// while a watch is interrupted, the informer replaces one object with the other, and notifies its handlers of
// an update. kube-scheduler treats that as a change of one pod: if the old one was bound and the new one is
// not, its cache finds that a pod has moved to another node, and the process exits ("Pod updated on a different
// node than previously added to", k8s.io/kubernetes pkg/scheduler/backend/cache/cache.go; the same in 1.35,
// 1.36 and 1.37). Any user who may create pods can reuse a name, so Everynode's choice of names does not
// prevent it.
package podevents

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/tools/cache"
)

// Split returns a factory whose pod informer delivers an update between two pods with different UIDs as the
// deletion of the first and the addition of the second, to every handler that is added through the factory.
func Split(shared informers.SharedInformerFactory) informers.SharedInformerFactory {
	return factory{shared}
}

// factory, group, version and pods wrap the path to the pod informer.
type (
	factory struct {
		informers.SharedInformerFactory
	}
	group   struct{ core.Interface }
	version struct{ corev1informers.Interface }
	pods    struct{ corev1informers.PodInformer }
)

func (f factory) Core() core.Interface        { return group{f.SharedInformerFactory.Core()} }
func (g group) V1() corev1informers.Interface { return version{g.Interface.V1()} }

func (v version) Pods() corev1informers.TypedPodInformer {
	return corev1informers.ToTypedPodInformer(pods{v.Interface.Pods()})
}

func (p pods) Informer() cache.SharedIndexInformer { return informer{p.PodInformer.Informer()} }

// InformerFor is another path to it.
func (f factory) InformerFor(object runtime.Object, create internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	shared := f.SharedInformerFactory.InformerFor(object, create)
	if _, ok := object.(*corev1.Pod); ok {
		return informer{shared}
	}
	return shared
}

// ForResource is a third path.
func (f factory) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	generic, err := f.SharedInformerFactory.ForResource(resource)
	if err == nil && resource == corev1.SchemeGroupVersion.WithResource("pods") {
		return genericPods{generic}, nil
	}
	return generic, err
}

type genericPods struct{ informers.GenericInformer }

func (g genericPods) Informer() cache.SharedIndexInformer {
	return informer{g.GenericInformer.Informer()}
}

// informer wraps the handlers that are added to it.
type informer struct{ cache.SharedIndexInformer }

func (i informer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(handler, cache.HandlerOptions{})
}

func (i informer) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, period time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(handler, cache.HandlerOptions{ResyncPeriod: &period})
}

func (i informer) AddEventHandlerWithOptions(handler cache.ResourceEventHandler, options cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.SharedIndexInformer.AddEventHandlerWithOptions(splitting{handler}, options)
}

// splitting is a handler that never gets one pod as an update of another.
type splitting struct{ cache.ResourceEventHandler }

// OnUpdate passes on the old pod as it was last seen, which is the state that the handler knows.
func (s splitting) OnUpdate(oldObj, newObj any) {
	before, wasPod := oldObj.(*corev1.Pod)
	after, isPod := newObj.(*corev1.Pod)
	if !wasPod || !isPod || before.UID == after.UID {
		s.ResourceEventHandler.OnUpdate(oldObj, newObj)
		return
	}
	s.OnDelete(before)
	s.OnAdd(after, false)
}
