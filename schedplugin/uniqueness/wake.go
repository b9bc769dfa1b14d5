package uniqueness

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/everynode/everynode/internal/daemon"
)

// waker retries the pods of a cell that block each other, once no more are left than may be bound together.
// kube-scheduler has no event for a pending pod that is deleted or changes its owner, so no hint can do it.
type waker struct {
	twins    *twins
	activate func(klog.Logger, map[string]*corev1.Pod)
	logger   klog.Logger
}

var _ cache.ResourceEventHandler = (*waker)(nil)

// OnAdd wakes no pods.
func (*waker) OnAdd(any, bool) {}

// OnUpdate handles a pod that does not wait for its cell any more.
func (w *waker) OnUpdate(oldObj, newObj any) {
	before, wasPod := oldObj.(*corev1.Pod)
	after, isPod := newObj.(*corev1.Pod)
	if !wasPod || !isPod {
		return
	}
	key, waited := waiting(before)
	if !waited {
		return
	}
	if now, waits := waiting(after); !waits || now != key {
		w.left(key, before)
	}
}

// OnDelete handles a waiting pod that was deleted.
func (w *waker) OnDelete(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok {
		if key, waited := waiting(pod); waited {
			w.left(key, pod)
		}
	}
}

// left retries the last pods that wait for a cell after one has left it.
func (w *waker) left(key daemon.CellKey, pod *corev1.Pod) {
	others, err := w.twins.waiting(pod, key)
	if err != nil {
		w.logger.Error(err, "Failed to retry pods that wait for each other", "pod", klog.KObj(pod))
		return
	}
	pods := map[string]*corev1.Pod{}
	for _, other := range others {
		pods[other.Namespace+"/"+other.Name] = other
	}
	if len(pods) > 0 {
		w.activate(w.logger, pods)
	}
}
