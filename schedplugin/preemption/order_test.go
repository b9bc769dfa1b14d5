package preemption

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"

	"github.com/everynode/everynode/internal/schedtest"
)

func TestMoreImportantVictim(t *testing.T) {
	start := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	movable := func() *schedtest.Pod { return schedtest.Twin("movable").Owner().Affinity(nil).StartedAt(start) }
	later := func(p *schedtest.Pod) *schedtest.Pod { return p.StartedAt(metav1.NewTime(start.Add(time.Minute))) }
	mirror := movable()
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}

	tests := map[string]struct {
		more, less *schedtest.Pod
	}{
		"a higher priority":                                    {movable().Priority(2), movable().Priority(1)},
		"a higher priority, though not pinned":                 {movable().Priority(2), schedtest.Twin("pinned").Priority(1).StartedAt(start)},
		"a daemon's":                                           {later(schedtest.Twin("pinned")), movable()},
		"a daemon's that was created with a node name":         {later(schedtest.Twin("pinned").Affinity(nil)), movable()},
		"a native daemon's":                                    {later(schedtest.Twin("pinned").Owner(schedtest.OwnerRef(schedtest.Native, "uid"))), movable()},
		"pinned, without an owner":                             {later(schedtest.Twin("pinned").Owner()), movable()},
		"a static pod":                                         {later(mirror), movable()},
		"of two that can move, the one that started earlier":   {movable(), later(movable())},
		"of two that are pinned, the one that started earlier": {schedtest.Twin("pinned").StartedAt(start), later(schedtest.Twin("pinned"))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if !moreImportantVictim(victim(t, test.more), victim(t, test.less)) {
				t.Error("it is not more important than the other")
			}
			if moreImportantVictim(victim(t, test.less), victim(t, test.more)) {
				t.Error("the other is more important")
			}
		})
	}
}

func victim(t *testing.T, p *schedtest.Pod) preemption.Victim {
	t.Helper()
	info, err := framework.NewPodInfo(p.Obj())
	if err != nil {
		t.Fatal(err)
	}
	return preemption.NewPodVictim(info, nil, nil)
}
