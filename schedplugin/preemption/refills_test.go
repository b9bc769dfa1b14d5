package preemption

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/internal/schedtest"
)

var place = daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}

// low returns a pod that another scheduler bound to the node.
func low(name string) *corev1.Pod {
	p := schedtest.Twin(name).Owner().Priority(1).Obj()
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	return p
}

func leaving(p *corev1.Pod) *corev1.Pod {
	p.DeletionTimestamp = new(metav1.Now())
	return p
}

func TestRefills(t *testing.T) {
	const by = "ns/b, scheduled by default-scheduler"
	taken := func(by string, times int, wait time.Duration, first bool) taking {
		return taking{By: by, Times: times, Wait: wait, First: first}
	}
	// A step is one look at the node after some time.
	type step struct {
		after time.Duration
		pods  []*corev1.Pod
		made  bool // room is made after the look
		bound bool
		want  taking
	}
	a, b, c := low("a"), low("b"), low("c")
	tests := map[string][]step{
		"no room was made":                 {{pods: []*corev1.Pod{a}}, {pods: []*corev1.Pod{b}}},
		"the pods are the same":            {{pods: []*corev1.Pod{a, b}, made: true}, {pods: []*corev1.Pod{b}}},
		"the victim is terminating":        {{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{leaving(low("a")), b}}},
		"another pod was bound":            {{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true)}},
		"a pod of the same name was bound": {{pods: []*corev1.Pod{low("b")}, made: true}, {pods: []*corev1.Pod{again(low("b"))}, want: taken(by, 1, 5*time.Second, true)}},
		"the wait is reported once":        {{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true)}, {after: 2 * time.Second, pods: []*corev1.Pod{c}, want: taken(by, 1, 3*time.Second, false)}},
		"after the wait it is recreated":   {{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true)}, {after: 5 * time.Second, pods: []*corev1.Pod{c}, made: true}, {pods: []*corev1.Pod{c}}},
		"the wait doubles, up to the maximum": {
			{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true)},
			{after: 5 * time.Second, pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 2, 10*time.Second, true)},
			{after: 10 * time.Second, pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 3, 15*time.Second, true)},
			{after: 15 * time.Second, pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 4, 15*time.Second, true)},
		},
		// The pod that it was made for was deleted; the daemon's next pod finds other pods.
		"the room was made long ago": {{pods: []*corev1.Pod{a}, made: true}, {after: time.Hour, pods: []*corev1.Pod{b}}},
		"the wait resets when the pod is bound": {
			{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true), bound: true},
			{pods: []*corev1.Pod{a}, made: true}, {pods: []*corev1.Pod{b}, want: taken(by, 1, 5*time.Second, true)},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			refills := newRefills(clock, Args{metav1.Duration{Duration: 5 * time.Second}, metav1.Duration{Duration: 15 * time.Second}})
			for i, step := range steps {
				clock.Step(step.after)
				got := refills.Look(place, schedtest.MakePod("p").Obj(), step.pods, step.pods)
				if diff := cmp.Diff(step.want, got); diff != "" {
					t.Errorf("step %d (-want, +got):\n%s", i, diff)
				}
				if step.made {
					refills.Made(place, step.pods)
				}
				if step.bound {
					refills.Bound(place)
				}
			}
		})
	}
}

func again(p *corev1.Pod) *corev1.Pod {
	return (&schedtest.Pod{Pod: p}).WithUID("uid-again").Obj()
}

// A new pod of the same or of higher priority did not take the room: it has precedence.
func TestRefillsOfHigherPriority(t *testing.T) {
	refills := newRefills(clocktesting.NewFakeClock(time.Now()), defaultArgs())
	refills.Made(place, []*corev1.Pod{low("a")})
	higher := schedtest.Twin("h").Owner().Priority(1000).Obj()
	if got := refills.Look(place, schedtest.MakePod("p").Obj(), []*corev1.Pod{higher}, nil); got.Times != 0 {
		t.Errorf("the room was taken: %+v", got)
	}
}

// Records of cells for which no pod waits are removed, when new ones are added.
func TestRefillsForget(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	refills := newRefills(clock, defaultArgs())
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			refills.Made(daemon.CellKey{Node: fmt.Sprint(i)}, nil)
		}
	}
	fill(0, minimumSweep)
	clock.Step(2*defaultArgs().RefillBackoffMax.Duration + time.Second)
	fill(minimumSweep, minimumSweep+1)
	if got := len(refills.rooms); got != 1 {
		t.Errorf("%d records, want 1", got)
	}
}
