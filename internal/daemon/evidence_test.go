package daemon

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Messages of container runtimes and registries: only an image that is missing or forbidden is the template's fault.
func TestPullKinds(t *testing.T) {
	const image = "registry.example.com/not found/denied:1"
	tests := map[string]struct {
		message string
		want    startKind
	}{
		"no manifest":              {`failed to pull and unpack image "` + image + `": failed to resolve reference "` + image + `": ` + image + `: not found`, imageMissing},
		"manifest unknown":         {`manifest for ` + image + ` not found: manifest unknown: manifest unknown`, imageMissing},
		"denied":                   {`pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, imageMissing},
		"forbidden":                {`unexpected status from HEAD request to https://registry.example.com/v2/not found/denied/manifests/1: 403 Forbidden`, imageMissing},
		"unauthorized":             {`failed to authorize: failed to fetch anonymous token: unexpected status from GET request: 401 Unauthorized`, imageMissing},
		"back-off with its cause":  {`Back-off pulling image "` + image + `": ErrImagePull: rpc error: code = NotFound desc = ` + image + `: not found`, imageMissing},
		"back-off without a cause": {`Back-off pulling image "` + image + `"`, pullUnclear},
		"timeout":                  {`failed to do request: Head "https://registry.example.com/v2/not found/denied/manifests/1": dial tcp 10.0.0.1:443: i/o timeout`, pullFails},
		"rate limit":               {`unexpected status: 429 Too Many Requests - toomanyrequests: access denied: rate limit`, pullFails},
		"server error":             {`unexpected status from HEAD request: 503 Service Unavailable`, pullFails},
		"no such host":             {`dial tcp: lookup registry.example.com: no such host`, pullFails},
		"only the name says so":    {`failed to pull ` + image + `: something else`, pullFails},
		"empty":                    {"", pullFails},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := pullKindOf(test.message, image); got != test.want {
				t.Errorf("%q is of kind %d, want %d", test.message, got, test.want)
			}
		})
	}
}

// shows is the status of a pod that was bound after two seconds.
func shows(change func(*corev1.PodStatus)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(t0)}, Spec: corev1.PodSpec{NodeName: "n0"}}
	start := metav1.NewTime(t0.Add(3 * time.Second))
	pod.Status.StartTime = &start
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(t0.Add(2 * time.Second))}}
	change(&pod.Status)
	return pod
}

func notReadySince(after time.Duration) func(*corev1.PodStatus) {
	return func(status *corev1.PodStatus) {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(t0.Add(after))})
	}
}

func waiting(reason, message string) func(*corev1.PodStatus) {
	return func(status *corev1.PodStatus) {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		})
	}
}

func restarted(container string, count int32, last time.Duration) func(*corev1.PodStatus) {
	return func(status *corev1.PodStatus) {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: container, RestartCount: count,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(t0.Add(last))}},
		})
	}
}

func TestObserveSigns(t *testing.T) {
	bound := signs{bound: 2 * time.Second}
	with := func(change func(*signs)) signs {
		of := bound
		change(&of)
		return of
	}
	tests := map[string]struct {
		show func(*corev1.PodStatus)
		want signs
	}{
		"bound":                           {func(*corev1.PodStatus) {}, bound},
		"never ready":                     {notReadySince(4 * time.Second), bound},
		"was ready":                       {notReadySince(time.Minute), with(func(s *signs) { s.wasReady = true })},
		"being created":                   {waiting("ContainerCreating", ""), bound},
		"a crash loop counts by restarts": {waiting("CrashLoopBackOff", "back-off"), bound},
		"no ConfigMap": {waiting("CreateContainerConfigError", "configmap not found"), with(func(s *signs) {
			s.start = startError{cannotStart, "app", "CreateContainerConfigError"}
		})},
		"an invalid name": {waiting("InvalidImageName", ""), with(func(s *signs) { s.start = startError{neverStarts, "app", "InvalidImageName"} })},
		"restarts": {restarted("app", 4, time.Minute), with(func(s *signs) {
			s.restarts[0] = restarts{"app", 4, t0.Add(time.Minute).Unix()}
		})},
		"evicted": {func(status *corev1.PodStatus) {
			status.Conditions = append(status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
		}, with(func(s *signs) { s.disrupted = true })},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ObserveSigns(shows(test.show)).handle.Value(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Users who write the status of pods decide how many containers they name: only those that restarted last are kept.
func TestObserveSignsIsBounded(t *testing.T) {
	pod := shows(func(status *corev1.PodStatus) {
		for i := range 10_000 {
			restarted(string(rune('a'+i%26)), int32(i), time.Duration(i)*time.Second)(status)
		}
	})
	got := ObserveSigns(pod).handle.Value().restarts
	if last := t0.Add((mostContainers - 1) * time.Second).Unix(); got[0].last != last {
		t.Errorf("the last restart is at %d, want that of container %d at %d", got[0].last, mostContainers-1, last)
	}
	if allocs := testing.AllocsPerRun(10, func() { ObserveSigns(shows(notReadySince(4 * time.Second))) }); allocs > 10 {
		t.Errorf("a pod that has nothing to tell costs %v allocations", allocs)
	}
}

// Whatever is seen of a pod's restarts, and when, a window is never judged to have more than really happened in it.
func TestRestartsWithinAWindow(t *testing.T) {
	type look struct {
		at    time.Duration // of the last restart
		count int32
	}
	tests := map[string]struct {
		bound time.Duration // before t0
		looks []look
		at    time.Duration
		since time.Duration
		fails bool
	}{
		"three, each seen":                         {looks: []look{{time.Minute, 1}, {2 * time.Minute, 2}, {3 * time.Minute, 3}}, at: 4 * time.Minute, fails: true},
		"three at once, soon after the binding":    {looks: []look{{3 * time.Minute, 3}}, at: 4 * time.Minute, fails: true},
		"three at once, long after the binding":    {bound: time.Hour, looks: []look{{3 * time.Minute, 3}}, at: 4 * time.Minute},
		"two":                                      {looks: []look{{time.Minute, 2}}, at: 2 * time.Minute},
		"three, spread":                            {looks: []look{{time.Minute, 1}, {11 * time.Minute, 2}, {12 * time.Minute, 3}}, at: 13 * time.Minute},
		"three, over":                              {looks: []look{{time.Minute, 1}, {2 * time.Minute, 2}, {3 * time.Minute, 3}}, at: 12 * time.Minute},
		"three that were not seen between two":     {looks: []look{{time.Minute, 1}, {30 * time.Minute, 3}}, at: 31 * time.Minute},
		"the same state again":                     {looks: []look{{time.Minute, 2}, {time.Minute, 2}, {time.Minute, 2}}, at: 2 * time.Minute},
		"a hundred":                                {looks: []look{{time.Minute, 50}, {2 * time.Minute, 100}}, at: 3 * time.Minute, fails: true},
		"before the retry":                         {looks: []look{{time.Minute, 1}, {2 * time.Minute, 2}, {3 * time.Minute, 3}}, at: 4 * time.Minute, since: 150 * time.Second},
		"three at once that began before a retry":  {looks: []look{{3 * time.Minute, 3}}, at: 4 * time.Minute, since: 150 * time.Second},
		"three after the retry, of more than that": {looks: []look{{time.Minute, 1}, {4 * time.Minute, 2}, {5 * time.Minute, 3}, {6 * time.Minute, 4}}, at: 7 * time.Minute, since: 150 * time.Second, fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			of := trial{bound: t0.Add(-test.bound)}
			for _, look := range test.looks {
				of.restarted(&restarts{"app", look.count, t0.Add(look.at).Unix()})
			}
			until, container := of.until(3, 10*time.Minute, t0.Add(test.since), t0.Add(test.at))
			if fails := !until.IsZero(); fails != test.fails || fails && container != "app" {
				t.Errorf("fails: %v until %v (container %q), want %v", fails, until, container, test.fails)
			}
			if n := len(of.ends[0].at); n > mostEnds {
				t.Errorf("%d restarts are kept", n)
			}
		})
	}
}
