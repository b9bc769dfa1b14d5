// Package silence suppresses the event Scheduled for daemons' pods. spec.nodeName and the condition
// PodScheduled contain the same information, and the event is a third of the cost of binding such a pod: one of
// two requests, besides the work of the API server and etcd.
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

// Profiles suppresses the event for daemons' pods in every profile of a scheduler.
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
