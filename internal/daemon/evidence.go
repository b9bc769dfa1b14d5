package daemon

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Evidence for or against a revision is what the status of a pod says of its containers: how often they restarted and when, and
// why one cannot start. All times are those of the API server's objects. What users decide is bounded: how many containers are
// read, and how much of a message.

// Cause is why a node has failed with a revision.
type Cause string

// The causes, in the order in which one of several counts. A failing pull and a node that is judged by none of them are no
// evidence.
const (
	CauseNone      Cause = ""
	CauseNode      Cause = v1alpha1.VerdictNodeNotReady
	CauseImage     Cause = v1alpha1.VerdictImageMissing
	CauseStart     Cause = v1alpha1.VerdictContainerNotStarting
	CauseRestarts  Cause = v1alpha1.VerdictContainerRestarts
	CauseDeadline  Cause = v1alpha1.VerdictNotAvailable
	CauseAborted   Cause = v1alpha1.VerdictAborted // by a user
	CausePulling   Cause = v1alpha1.ReasonImagePullFailing
	mostContainers       = 64 // of a pod's lists that are read
	shownRestarts        = 4  // containers of a pod whose restarts are kept
	readMessage          = 4 << 10
)

// How long a start error must last.
const (
	startPatience = 30 * time.Second // a ConfigMap may follow the pod that needs it
	pullPatience  = 2 * time.Minute  // as may an image
)

// Signs are what the status of a pod says of its containers and its binding. It is one pointer: most pods were bound at once and
// have not restarted, so that many share it.
type Signs struct{ handle unique.Handle[signs] }

// Equal reports whether two pods show the same.
func (s Signs) Equal(other Signs) bool { return s == other }

type signs struct {
	bound     time.Duration // since the pod was created
	wasReady  bool          // it was ready, and is not any more
	disrupted bool          // it is evicted, preempted or drained
	start     startError
	restarts  [shownRestarts]restarts // the containers that restarted last; zero if fewer did
}

// restarts are those of a container.
type restarts struct {
	container string
	count     int32
	last      int64 // when it ended last, in Unix seconds
}

// startError is why a container does not start; zero if none is kept from it.
type startError struct {
	kind      startKind
	container string
	reason    string
}

type startKind uint8

const (
	startsWell startKind = iota
	pullUnclear
	pullFails
	imageMissing
	cannotStart
	neverStarts // what is wrong is in the template
)

// JudgesContainers reports whether the containers of a pod are read: it belongs to a daemon of a kind with rollouts.
func JudgesContainers(pod *corev1.Pod) bool {
	owner, owned := OwnedByDaemon(pod)
	return owned && KindOf(owner).RollsOut()
}

// ObserveSigns extracts the signs of a pod that is bound.
func ObserveSigns(pod *corev1.Pod) Signs {
	if pod.Spec.NodeName == "" {
		return Signs{}
	}
	seen := signs{bound: boundAt(pod).Sub(pod.CreationTimestamp.Time)}
	for i := range pod.Status.Conditions {
		switch condition := &pod.Status.Conditions[i]; condition.Type {
		case corev1.PodReady:
			seen.wasReady = condition.Status != corev1.ConditionTrue && pod.Status.StartTime != nil && condition.LastTransitionTime.Sub(pod.Status.StartTime.Time) > firstReport
		case corev1.DisruptionTarget:
			seen.disrupted = condition.Status == corev1.ConditionTrue
		}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list[:min(len(list), mostContainers)] {
			seen.observe(&list[i])
		}
	}
	if seen == (signs{}) {
		return Signs{}
	}
	return Signs{unique.Make(seen)}
}

// firstReport is how long after a pod's start a kubelet reports for the first time that it is not ready.
const firstReport = 10 * time.Second

// boundAt is when a pod was bound.
func boundAt(pod *corev1.Pod) time.Time {
	at := pod.CreationTimestamp.Time
	if pod.Status.StartTime != nil {
		at = pod.Status.StartTime.Time
	}
	for i := range pod.Status.Conditions {
		if of := &pod.Status.Conditions[i]; of.Type == corev1.PodScheduled && of.Status == corev1.ConditionTrue && !of.LastTransitionTime.IsZero() {
			at = of.LastTransitionTime.Time
		}
	}
	if at.Before(pod.CreationTimestamp.Time) {
		return pod.CreationTimestamp.Time // a node's clock may be wrong
	}
	return at
}

// observe adds a container.
func (s *signs) observe(status *corev1.ContainerStatus) {
	if waiting := status.State.Waiting; waiting != nil {
		if kind := startKindOf(waiting, status.Image); kind > s.start.kind {
			s.start = startError{kind, strings.Clone(Shorten(status.Name, maxObjectName)), strings.Clone(waiting.Reason)}
		}
	}
	if status.RestartCount <= 0 {
		return
	}
	next := restarts{strings.Clone(Shorten(status.Name, maxObjectName)), status.RestartCount, lastEnd(status)}
	kept := append(slices.Clone(s.restarts[:]), next)
	slices.SortFunc(kept, func(a, b restarts) int {
		return cmp.Or(-cmp.Compare(a.last, b.last), -cmp.Compare(a.count, b.count), cmp.Compare(a.container, b.container))
	})
	copy(s.restarts[:], kept)
}

// lastEnd is when a container that restarted ended last; 1 if it is not known.
func lastEnd(status *corev1.ContainerStatus) int64 {
	for _, state := range []*corev1.ContainerState{&status.LastTerminationState, &status.State} {
		switch {
		case state.Terminated != nil && !state.Terminated.FinishedAt.IsZero():
			return max(state.Terminated.FinishedAt.Unix(), 1)
		case state.Running != nil && !state.Running.StartedAt.IsZero():
			return max(state.Running.StartedAt.Unix(), 1)
		}
	}
	return 1
}

// startKindOf classifies why a container waits. A crash loop is judged by its restarts, and one that is being created, or waits
// for others, has no error. The names of reasons are those of k8s.io/kubernetes pkg/kubelet/kuberuntime and pkg/kubelet/images.
func startKindOf(waiting *corev1.ContainerStateWaiting, image string) startKind {
	switch waiting.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		return neverStarts
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return cannotStart
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		return pullKindOf(waiting.Message, image)
	}
	return startsWell
}

// Texts of failed pulls, of container runtimes and registries.
var (
	passing = regexp.MustCompile(`timeout|timed out|deadline exceeded|too ?many ?requests|\b429\b|\b50[0-9]\b|connection (refused|reset)|no such host|server misbehaving|no route to host|network is unreachable|tls handshake|x509|unexpected eof|no space left|i/o error|proxyconnect`)
	missing = regexp.MustCompile(`manifest unknown|name unknown|not found|does not exist|\b404\b|denied|unauthorized|forbidden|\b401\b|\b403\b|authorization failed|insufficient_scope`)
)

// pullKindOf reads the message of a failed pull. Only an image that is missing or forbidden is the template's fault: everything
// else may be over when it is tried again. The name of the image may contain any word.
func pullKindOf(message, image string) startKind {
	if image != "" {
		message = strings.ReplaceAll(message, image, "")
		name, _, _ := strings.Cut(image, "@")
		if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
			name = name[:at]
		}
		if _, path, named := strings.Cut(name, "/"); named && len(path) > 3 {
			message = strings.ReplaceAll(message, path, "") // in an URL of the registry
		}
	}
	message = strings.ToLower(Shorten(message, readMessage))
	_, cause, explained := strings.Cut(message, ": ")
	switch {
	case passing.MatchString(message):
		return pullFails
	case missing.MatchString(message):
		return imageMissing
	case strings.HasPrefix(message, "back-off pulling image") && (!explained || cause == ""):
		return pullUnclear
	}
	return pullFails
}

// trial is what the pod of a cell has shown since it was seen.
type trial struct {
	outcome
	pod       types.UID
	bound     time.Time
	available bool // it was
	ready     bool // its node was Ready, while the pod was bound
	start     startError
	since     time.Time // of start
	ends      []ends
}

// ends are the times of a container's restarts, in Unix seconds, ascending. If several happened between two looks only the last
// one has its time: of the others the earliest possible one is kept, so that no window is ever too full.
type ends struct {
	container string
	count     int32
	at        []int64
}

// mostEnds is how many restarts of a container are kept: the most that spec.rollout.failure.restarts may require.
const mostEnds = 20

// see adds what a pod shows now.
func (t *trial) see(pod *Pod, now time.Time) {
	var seen signs
	if pod.Signs != (Signs{}) {
		seen = pod.Signs.handle.Value()
	}
	t.bound = pod.Created.Add(seen.bound)
	t.available = t.available || seen.wasReady
	for i := range seen.restarts {
		if of := &seen.restarts[i]; of.count > 0 {
			t.restarted(of)
		}
	}
	if pod.Ready {
		seen.start = startError{} // all containers have started
	}
	t.waits(seen.start, now)
}

// waits notes an error of a container's start, which lasts as long as its kind does. A message that repeats a former one without its
// cause changes nothing.
func (t *trial) waits(now startError, at time.Time) {
	if now.kind == pullUnclear && (t.start.kind == imageMissing || t.start.kind == pullFails) {
		now.kind = t.start.kind
	}
	if now.kind != t.start.kind {
		t.since = at
	}
	t.start = now
}

func (t *trial) restarted(of *restarts) {
	at := slices.IndexFunc(t.ends, func(known ends) bool { return known.container == of.container })
	if at < 0 {
		if len(t.ends) == mostContainers {
			return
		}
		at = len(t.ends)
		t.ends = append(t.ends, ends{container: of.container})
	}
	known := &t.ends[at]
	more := of.count - known.count
	if more <= 0 {
		return
	}
	earliest := t.bound.Unix()
	if n := len(known.at); n > 0 {
		earliest = known.at[n-1]
	}
	for range min(more-1, mostEnds) {
		known.at = append(known.at, earliest)
	}
	known.at = append(known.at, max(of.last, earliest))
	known.at = slices.Clone(known.at[max(0, len(known.at)-mostEnds):])
	known.count = of.count
}

// until returns until when a container has restarted so often within a window, since a time; zero if none has now.
func (t *trial) until(restarts int, window time.Duration, since, now time.Time) (until time.Time, container string) {
	if restarts <= 0 || restarts > mostEnds {
		return until, ""
	}
	for i := range t.ends {
		of := &t.ends[i]
		if len(of.at) < restarts {
			continue
		}
		first := time.Unix(of.at[len(of.at)-restarts], 0)
		if end := first.Add(window); !first.Before(since) && end.After(now) && end.After(until) {
			until, container = end, of.container
		}
	}
	return until, container
}
