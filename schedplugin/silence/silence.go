// Package silence spares daemons' pods the event Scheduled. It says what the pod itself says, in
// spec.nodeName and its condition PodScheduled, and of what binding such a pod costs the scheduler it
// is a third: one of two requests, beside what the API server and etcd do about it.
package silence

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"

	"github.com/everynode/everynode/schedplugin/podfacts"
)

// Profiles has every profile of a scheduler keep silent about daemons' pods that it bound.
func Profiles(profiles profile.Map) {
	for name, of := range profiles {
		profiles[name] = silent{of}
	}
}

type silent struct{ framework.Framework }

func (s silent) EventRecorder() events.EventRecorderLogger {
	return recorder{s.Framework.EventRecorder()}
}

type recorder struct{ events.EventRecorderLogger }

func (r recorder) WithLogger(logger klog.Logger) events.EventRecorderLogger {
	return recorder{r.EventRecorderLogger.WithLogger(logger)}
}

func (r recorder) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	if pod, isPod := regarding.(*corev1.Pod); isPod && kind == corev1.EventTypeNormal && reason == "Scheduled" {
		if _, pinned := podfacts.KeyOf(pod); pinned {
			return
		}
	}
	r.EventRecorderLogger.Eventf(regarding, related, kind, reason, action, note, args...)
}
