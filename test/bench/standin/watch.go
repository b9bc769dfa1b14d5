package standin

import (
	"iter"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/everynode/everynode/api/v1alpha1"
)

var (
	podResource       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	nodeResource      = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	daemonSetResource = schema.GroupVersionResource{Group: v1alpha1.GroupName, Version: "v1alpha1", Resource: "daemonsets"}
	revisionResource  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}
	classResource     = schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"}
	runtimeResource   = schema.GroupVersionResource{Group: "node.k8s.io", Version: "v1", Resource: "runtimeclasses"}
	namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	quotaResource     = schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}
	stopResource      = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	budgetResource    = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
)

// resource is a kind of objects for one watcher at a time.
type resource struct {
	kind       string
	namespaced bool
	initial    iter.Seq2[runtime.Object, error]
	changes    chan runtime.Object // changed objects, in order
}

func (s *Server) allResources() map[schema.GroupVersionResource]*resource {
	return map[schema.GroupVersionResource]*resource{
		podResource: newResource("Pod", true, s.Pods(), func(i int) (runtime.Object, error) { return s.pod(i) }),
		nodeResource: newResource("Node", false, s.nodes, func(i int) (runtime.Object, error) {
			return s.objects.nodeAt(i), nil
		}),
		daemonSetResource: newResource("DaemonSet", true, len(s.objects.daemons), func(i int) (runtime.Object, error) {
			return s.objects.daemons[i].object, nil
		}),
		revisionResource: newResource("ControllerRevision", true, len(s.objects.daemons), func(i int) (runtime.Object, error) {
			return s.objects.daemons[i].revision(i)
		}),
		namespaceResource: newResource("Namespace", false, 0, nil),
		quotaResource:     newResource("ResourceQuota", true, 0, nil),
		runtimeResource:   newResource("RuntimeClass", false, 0, nil),
		stopResource:      newResource("ConfigMap", true, 0, nil),
		budgetResource:    newResource("PodDisruptionBudget", true, 0, nil),
		classResource: newResource("PriorityClass", false, 1, func(int) (runtime.Object, error) {
			return priorityClass(), nil
		}),
	}
}

// newResource has a number of initial objects, created one by one.
func newResource(kind string, namespaced bool, objects int, at func(int) (runtime.Object, error)) *resource {
	return &resource{kind: kind, namespaced: namespaced, changes: make(chan runtime.Object), initial: func(yield func(runtime.Object, error) bool) {
		for i := range objects {
			if !yield(at(i)) {
				return
			}
		}
	}}
}

// watch sends all objects, the bookmark that ends the initial list, and then changes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	gvr := schema.GroupVersionResource{Group: r.PathValue("group"), Version: r.PathValue("version"), Resource: r.PathValue("resource")}
	resource, ok := s.resources[gvr]
	if !ok || r.URL.Query().Get("sendInitialEvents") != "true" {
		s.unknown(w, r)
		return
	}
	encoding, err := encodingOf(r.Header.Get("Accept"), gvr.Group == v1alpha1.GroupName)
	if err != nil {
		answerError(w, apierrors.NewInternalError(err))
		return
	}
	w.Header().Set("Content-Type", encoding.contentType)
	if err := s.stream(r, w, resource, encoding); err != nil {
		s.mu.Lock()
		s.counters.Other = append(s.counters.Other, r.URL.Path+" ended: "+err.Error())
		s.mu.Unlock()
	}
}

func (s *Server) stream(r *http.Request, w http.ResponseWriter, resource *resource, encoding *encoding) error {
	send := func(kind watch.EventType, object runtime.Object) error {
		frame, err := encoding.frame(kind, object)
		if err != nil {
			return err
		}
		_, err = w.Write(frame)
		return err
	}
	for object, err := range resource.initial {
		if err != nil {
			return err
		}
		if err := send(watch.Added, object); err != nil {
			return err
		}
	}
	bookmark, err := s.bookmark(r, resource.kind)
	if err != nil {
		return err
	}
	if err := send(watch.Bookmark, bookmark); err != nil {
		return err
	}
	s.mu.Lock()
	s.watches++
	s.mu.Unlock()
	for {
		w.(http.Flusher).Flush()
		select {
		case object := <-resource.changes:
			if err := send(watch.Modified, object); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

// bookmark returns the empty object that ends the initial list.
func (s *Server) bookmark(r *http.Request, kind string) (runtime.Object, error) {
	gvk := schema.GroupVersionKind{Group: r.PathValue("group"), Version: r.PathValue("version"), Kind: kind}
	object, err := newObject(gvk)
	if err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	meta := object.(metav1.Object)
	s.mu.Lock()
	defer s.mu.Unlock()
	meta.SetResourceVersion(strconv.FormatUint(s.version, 10))
	meta.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return object, nil
}

func newObject(gvk schema.GroupVersionKind) (runtime.Object, error) {
	if gvk.Group == v1alpha1.GroupName {
		return &v1alpha1.DaemonSet{}, nil
	}
	return clientgoscheme.Scheme.New(gvk)
}
