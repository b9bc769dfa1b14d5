package silence

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"

	"github.com/everynode/everynode/internal/schedtest"
)

type loud struct {
	framework.Framework
	recorder *events.FakeRecorder
}

func (l loud) EventRecorder() events.EventRecorderLogger { return l.recorder }

func TestEvents(t *testing.T) {
	daemons := schedtest.Twin("p").Obj()
	tests := map[string]struct {
		pod          *corev1.Pod
		kind, reason string
		want         int
	}{
		"a daemon's pod is scheduled":                     {daemons, corev1.EventTypeNormal, "Scheduled", 0},
		"a daemon's pod cannot be scheduled":              {daemons, corev1.EventTypeWarning, "FailedScheduling", 1},
		"another pod of the primary install is scheduled": {&corev1.Pod{}, corev1.EventTypeNormal, "Scheduled", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(1)
			profiles := profile.Map{"p": loud{recorder: recorder}}
			Profiles(profiles)
			profiles["p"].EventRecorder().WithLogger(klog.Background()).Eventf(test.pod, nil, test.kind, test.reason, "Binding", "note")
			if got := len(recorder.Events); got != test.want {
				t.Errorf("%d events, want %d", got, test.want)
			}
		})
	}
}
