package daemon

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A pod that fails again and again is replaced after 1 s, 2 s, 4 s … 15 min (S8).
func TestPlanBacksOff(t *testing.T) {
	var cells Cells
	now := t0
	cells.SetTemplate("r1", 0, Strategy{OnDelete: true}, now)
	cells.SetNode("n1", "a", eligible, now)
	failed := Pod{Name: "p", UID: "1", NodeUID: "a", Finished: true}

	replaced := func() bool {
		t.Helper()
		cells.SetPod("n1", &failed, now)
		due := len(cells.Plan("n1", now).Actions) == 1
		if due {
			cells.Replaced("n1", now)
		}
		return due
	}
	if !replaced() {
		t.Fatal("the first finished pod is not replaced at once")
	}
	seconds := []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900}
	for i, want := range seconds {
		at := now.Add(time.Duration(want) * time.Second)
		if plan := cells.Plan("n1", now); len(plan.Actions) > 0 || !plan.WakeAt.Equal(at) {
			t.Fatalf("try %d: plan %+v, want to wake %d s later", i, plan, want)
		}
		if now = at.Add(-1); replaced() {
			t.Fatalf("try %d: replaced before %d s were over", i, want)
		}
		if now = at; !replaced() {
			t.Fatalf("try %d: not replaced after %d s", i, want)
		}
	}

	// After long enough without one, the next is a first one again.
	now = now.Add(2 * time.Hour)
	if !replaced() {
		t.Fatal("a finished pod after two quiet hours is not replaced at once")
	}
	if plan := cells.Plan("n1", now); !plan.WakeAt.Equal(now.Add(time.Second)) {
		t.Errorf("after two quiet hours the wait is %v, want 1s", plan.WakeAt.Sub(now))
	}
}

// The back-off is a cell's own, and counts replaced pods, not plans to replace them: while the API
// server is unreachable none is.
func TestBackOffIsPerCell(t *testing.T) {
	var cells Cells
	for _, node := range []string{"n1", "n2"} {
		cells.SetNode(node, "a", eligible, t0)
		cells.SetPod(node, &Pod{Name: "p-" + node, UID: types.UID(node), NodeUID: "a", Finished: true}, t0)
	}
	for range 5 {
		if plan := cells.Plan("n1", t0); len(plan.Actions) != 1 {
			t.Fatalf("a plan that was not carried out counts: %+v", plan)
		}
	}
	cells.Replaced("n1", t0)
	cells.Replaced("unknown", t0)
	if plan := cells.Plan("n1", t0); !plan.WakeAt.Equal(t0.Add(time.Second)) {
		t.Errorf("looking again and again makes the wait %v, want 1s", plan.WakeAt.Sub(t0))
	}
	if plan := cells.Plan("n2", t0); len(plan.Actions) != 1 {
		t.Errorf("n2 waits for n1's back-off: %+v", plan)
	}
}

// A pod that was ready for ten minutes can run: its end resets the back-off. A shorter time, however long
// the present step is, does not buy another try.
func TestBackOffEndsWithSuccess(t *testing.T) {
	const tries = 5 // the next one waits 16 s
	for name, test := range map[string]struct {
		ready time.Duration
		ends  func(*Cells, *Pod, time.Time)
		want  time.Duration // that the pod after the next one waits
	}{
		"ready for ten minutes, then failed":   {proof, failAgain, time.Second},
		"ready for a shorter time, and failed": {proof - 1, failAgain, 32 * time.Second},
		"ready for ten minutes, then deleted":  {proof, deleted, time.Second},
		"never ready, then failed":             {-1, failAgain, 32 * time.Second},
		"not ready any more, then failed":      {proof, func(c *Cells, p *Pod, now time.Time) { unready(c, p, now); failAgain(c, p, now) }, time.Second},
		"not ready so soon, and then failed":   {time.Minute, func(c *Cells, p *Pod, now time.Time) { unready(c, p, now); failAgain(c, p, now) }, 32 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			now := t0
			cells.SetTemplate("r1", 0, Strategy{OnDelete: true}, now)
			cells.SetNode("n1", "a", eligible, now)
			for range tries {
				cells.Replaced("n1", now)
			}
			pod := &Pod{Name: "p", UID: "1", Bound: true, Ready: test.ready >= 0, ReadySince: now}
			cells.SetPod("n1", pod, now)
			now = now.Add(max(test.ready, 0))
			test.ends(&cells, pod, now)
			cells.Replaced("n1", now)
			cells.SetPod("n1", &Pod{Name: "p", UID: "2", Finished: true}, now)
			if got := cells.Plan("n1", now).WakeAt.Sub(now); got != test.want {
				t.Errorf("the next one waits %s, want %s", got, test.want)
			}
		})
	}
}

func failAgain(c *Cells, pod *Pod, now time.Time) {
	failed := *pod
	failed.Ready, failed.Finished, failed.Failed = false, true, true
	c.SetPod("n1", &failed, now)
	c.RemovePod("n1", pod.UID, now)
}

func unready(c *Cells, pod *Pod, now time.Time) {
	not := *pod
	not.Ready = false
	c.SetPod("n1", &not, now)
}

func deleted(c *Cells, pod *Pod, now time.Time) { c.RemovePod("n1", pod.UID, now) }

// A kubelet's clock is not ours: a pod that is said to be ready since before it was created, or since no
// time at all, has not been for ten minutes.
func TestProofIsNotTakenFromTheNodesClock(t *testing.T) {
	for name, since := range map[string]time.Time{"a clock that is behind": t0.Add(-time.Hour), "no time": {}} {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetNode("n1", "a", eligible, t0)
			for range 5 {
				cells.Replaced("n1", t0)
			}
			pod := &Pod{Name: "p", UID: "1", Created: t0, Bound: true, Ready: true, ReadySince: since}
			cells.SetPod("n1", pod, t0)
			failAgain(&cells, pod, t0.Add(time.Minute))
			if got := cells.byNode["n1"].setbacks.retries; got != 5 {
				t.Errorf("%d retries are counted after a pod that lived for a minute, want 5", got)
			}
		})
	}
}

// Whatever ends a pod soon after it was ready, the node costs few pods in an hour: as many as the back-off
// has steps. What restarts in place costs none, and what was ready for ten minutes is replaced at once.
func TestEndsOfPodsInAnHour(t *testing.T) {
	kubelet := func(reason string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason}
	}
	condition := func(status corev1.PodStatus) corev1.PodStatus {
		status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet}}
		return status
	}
	oom := corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}},
	}}
	restarted := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", RestartCount: 1}}}

	tests := map[string]struct {
		readyFor  time.Duration // less than nothing: never ready
		end       corev1.PodStatus
		most, few int // pods made in the hour
	}{
		"evicted while not ready":                     {-1, condition(kubelet("Evicted")), 15, 12},
		"evicted at once":                             {0, condition(kubelet("Evicted")), 15, 12},
		"evicted after a second":                      {time.Second, condition(kubelet("Evicted")), 15, 12},
		"evicted after a minute":                      {time.Minute, condition(kubelet("Evicted")), 14, 9},
		"evicted after nine minutes":                  {9 * time.Minute, condition(kubelet("Evicted")), 7, 5},
		"evicted after ten minutes":                   {10 * time.Minute, condition(kubelet("Evicted")), 7, 6},
		"terminated by the node's shutdown":           {time.Second, condition(kubelet("Terminated")), 15, 12},
		"refused, for the node shuts down":            {-1, kubelet("NodeShutdown"), 15, 12},
		"refused, for the node has no room":           {-1, kubelet("OutOfcpu"), 15, 12},
		"refused, for the node does not match":        {-1, kubelet("NodeAffinity"), 15, 12},
		"preempted for a critical pod":                {time.Second, condition(kubelet("Preempting")), 15, 12},
		"out of memory, the pod with it":              {time.Second, oom, 15, 12},
		"out of memory, and restarted in place":       {time.Second, restarted, 1, 1},
		"ended by itself":                             {time.Second, corev1.PodStatus{Phase: corev1.PodSucceeded}, 15, 12},
		"the node's kubelet is lost, and reported so": {time.Minute, corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeLost"}, 14, 9},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := hour{t: t}
			h.run(func(pod *corev1.Pod, age time.Duration) (gone bool) {
				switch {
				case test.readyFor < 0 || age > test.readyFor:
					pod.Status = test.end
				case age == 0:
					ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(h.now)}
					pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{ready}}
				}
				return false
			})
			if h.made > test.most || h.made < test.few {
				t.Errorf("%d pods were made in an hour, want %d to %d", h.made, test.few, test.most)
			}
		})
	}
}

// hour is one node for an hour: the plan is carried out at once, and live decides what becomes of a pod,
// each second of its age, and whether it is gone.
type hour struct {
	t     *testing.T
	now   time.Time
	cells Cells
	pod   *corev1.Pod // nil while there is none
	made  int
	asked int // of these, the plan wanted the DaemonSet read first
}

func (h *hour) run(live func(pod *corev1.Pod, age time.Duration) (gone bool)) {
	h.now = t0
	h.cells.SetTemplate("r1", 0, Strategy{OnDelete: true}, h.now)
	h.cells.SetNode("n1", "a", eligible, h.now)
	for h.now.Sub(t0) < time.Hour {
		for range 3 { // a pod goes, and one comes
			h.act()
		}
		if h.pod != nil {
			gone := live(h.pod, h.now.Sub(h.pod.CreationTimestamp.Time))
			h.observe()
			if gone {
				h.cells.RemovePod("n1", h.pod.UID, h.now)
				h.pod = nil
			}
		}
		h.now = h.now.Add(time.Second)
	}
}

func (h *hour) observe() {
	observed := ObservePod(h.pod)
	h.cells.SetPod("n1", &observed, h.now)
}

func (h *hour) act() {
	for _, action := range h.cells.Plan("n1", h.now).Actions {
		switch action.Op {
		case Create:
			h.made++
			if action.AskOwner {
				h.asked++
			}
			h.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: "p", UID: types.UID(h.now.String()), CreationTimestamp: metav1.NewTime(h.now),
				Labels: map[string]string{"controller-revision-hash": "r1"},
			}}
			h.observe()
		case Delete:
			h.cells.Deleted("n1", action.Pod.UID, h.now)
			if action.Reason == ReasonFinished {
				h.cells.Replaced("n1", h.now)
			}
			h.cells.RemovePod("n1", action.Pod.UID, h.now)
			h.pod = nil
		}
	}
}

// Whatever deletes pods: those that never served cost few writes in an hour, and before each but the first the
// DaemonSet is read. Pods that were ready may be drained as often as anybody likes.
func TestVanishedPodsInAnHour(t *testing.T) {
	isReady := func(pod *corev1.Pod, since time.Time) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}
	}
	tests := map[string]struct {
		live      func(h *hour, pod *corev1.Pod, age time.Duration) (gone bool)
		few, most int
	}{
		"at once":                     {func(*hour, *corev1.Pod, time.Duration) bool { return true }, 15, 18},
		"after a minute, never ready": {func(_ *hour, _ *corev1.Pod, age time.Duration) bool { return age >= time.Minute }, 13, 16},
		"terminating first": {func(h *hour, pod *corev1.Pod, age time.Duration) bool {
			pod.DeletionTimestamp = &metav1.Time{Time: h.now}
			return age > 0
		}, 14, 18},
		"failed, and deleted before the plan does": {func(h *hour, pod *corev1.Pod, age time.Duration) bool {
			if isReady(pod, h.now); age > 0 {
				pod.Status = corev1.PodStatus{Phase: corev1.PodFailed}
			}
			return age > 0
		}, 14, 18},
		"four in ten minutes": {func(_ *hour, _ *corev1.Pod, age time.Duration) bool { return age >= 151*time.Second }, 23, 24},
		"drained when ready": {func(h *hour, pod *corev1.Pod, age time.Duration) bool {
			if age == 0 {
				isReady(pod, h.now)
			}
			return age > 0
		}, 1500, 3600},
		"drained, and not ready while it ends": {func(h *hour, pod *corev1.Pod, age time.Duration) bool {
			if isReady(pod, h.now); age > 0 {
				pod.Status.Conditions, pod.DeletionTimestamp = nil, &metav1.Time{Time: h.now}
			}
			return age > time.Second
		}, 1000, 3600},
		"never": {func(*hour, *corev1.Pod, time.Duration) bool { return false }, 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := hour{t: t}
			h.run(func(pod *corev1.Pod, age time.Duration) bool { return test.live(&h, pod, age) })
			if h.made < test.few || h.made > test.most {
				t.Errorf("%d pods were made in an hour, want %d to %d", h.made, test.few, test.most)
			}
			if h.asked != h.made-1 {
				t.Errorf("before %d of %d pods the DaemonSet is read, want before each but the first", h.asked, h.made)
			}
		})
	}
}

// The first four that vanish are followed at once, the fifth after a second; a new template and a pod that was ready for ten
// minutes reset that, and what the plan deleted never counts.
func TestLossesAreCounted(t *testing.T) {
	lose := func(c *Cells, change func(*Pod), times int) {
		for range times {
			pod := &Pod{Name: "p", UID: "1", Revision: "r1", Bound: true}
			change(pod)
			c.SetPod("n1", pod, t0)
			c.RemovePod("n1", pod.UID, t0)
		}
	}
	pending := func(*Pod) {}
	tests := map[string]struct {
		live func(c *Cells)
		want time.Duration // until the next one is made
	}{
		"four":                 {func(c *Cells) { lose(c, pending, 4) }, 0},
		"five":                 {func(c *Cells) { lose(c, pending, 5) }, time.Second},
		"six":                  {func(c *Cells) { lose(c, pending, 6) }, 2 * time.Second},
		"five that were ready": {func(c *Cells) { lose(c, func(p *Pod) { p.Ready, p.ReadySince = true, t0 }, 5) }, 0},
		"six, and a new template": {func(c *Cells) {
			lose(c, pending, 6)
			c.SetTemplate("r2", 0, Strategy{OnDelete: true}, t0)
		}, 0},
		"six, and one that was ready for ten minutes": {func(c *Cells) {
			lose(c, pending, 6)
			lose(c, func(p *Pod) { p.Ready, p.ReadySince = true, t0.Add(-proof) }, 1)
		}, 0},
		"nine that the plan deleted": {func(c *Cells) {
			for range 9 {
				c.SetPod("n1", &Pod{Name: "p", UID: "1", Revision: "r0"}, t0)
				c.Deleted("n1", "1", t0)
				c.SetPod("n1", &Pod{Name: "p", UID: "1", Revision: "r0", Terminating: true}, t0) // as the watch shows it
				c.RemovePod("n1", "1", t0)
			}
		}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var cells Cells
			cells.SetTemplate("r1", 0, Strategy{OnDelete: true}, t0)
			cells.SetNode("n1", "a", eligible, t0)
			test.live(&cells)
			plan := cells.Plan("n1", t0)
			switch {
			case test.want == 0 && (len(plan.Actions) != 1 || plan.Actions[0].Op != Create):
				t.Errorf("plan %+v, want a pod at once", plan)
			case test.want > 0 && (len(plan.Actions) > 0 || !plan.WakeAt.Equal(t0.Add(test.want))):
				t.Errorf("plan %+v, want to wake after %s", plan, test.want)
			}
		})
	}
}

// A surge pod that is deleted again and again is created as seldom as any other, and the old pod serves all the time.
func TestVanishedSurgePodsBackOff(t *testing.T) {
	c := newCluster(t, 1, surge("1"))
	old := c.podsOn("n0")[0]
	c.update("r2")
	start, made := c.now, c.made
	for c.now.Sub(start) < time.Hour {
		c.cells.Grant(c.now)
		for _, action := range c.cells.Plan("n0", c.now).Actions {
			if action.Op == Delete {
				t.Fatalf("pod %s is deleted", action.Pod.Name)
			}
			c.make("n0", action.Revision, action.Reason == ReasonSurge)
		}
		for _, pod := range c.podsOn("n0") {
			if pod != old {
				c.gone(pod)
			}
		}
		c.now = c.now.Add(time.Second)
	}
	if got := c.made - made; got < 15 || got > 18 {
		t.Errorf("%d surge pods were made in an hour, want 15 to 18 (S8)", got)
	}
}
