package checker

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

// ruling is what a ControllerRevision says of its revision.
type ruling struct {
	UID     types.UID `json:"uid"`
	Reason  string    `json:"reason"`
	Returns bool      `json:"returns"`
	Aborted string    `json:"aborted"`
	Retried string    `json:"retried"`
}

func rulingOf(record *appsv1.ControllerRevision) (of ruling) {
	if json.Unmarshal([]byte(record.Annotations[v1alpha1.VerdictAnnotation]), &of) != nil || of.UID != record.UID {
		return ruling{}
	}
	return of
}

// judgeRuling judges R2 when what is recorded of a revision changes.
func (s *state) judgeRuling(before, now *appsv1.ControllerRevision) {
	d := s.daemons[ownerOf(now)]
	if d == nil || d.kind != history.DaemonSets {
		return
	}
	if before.Annotations[v1alpha1.VerdictAnnotation] == now.Annotations[v1alpha1.VerdictAnnotation] {
		return
	}
	s.judged(R2)
	was, is := rulingOf(before), rulingOf(now)
	if was == is {
		return
	}
	revision := now.Labels[appsv1.ControllerRevisionHashLabelKey]
	key := d.key.String() + " " + revision
	for verb, values := range map[string][2]string{v1alpha1.AbortAnnotation: {was.Aborted, is.Aborted}, v1alpha1.RetryAnnotation: {was.Retried, is.Retried}} {
		if values[0] != values[1] && (values[1] == "" || verbNumber(values[1]) <= verbNumber(values[0])) && is != (ruling{}) {
			s.violated(R2, key, "verb %s acted with the value %q after it had acted with %q", verb, values[1], values[0])
		}
	}
	switch {
	case was.Reason != "" && is.Reason == "" && is.Retried == was.Retried && d.spec().rollout != nil:
		s.violated(R2, key, "the verdict %s is removed without a retry", was.Reason)
	case is.Reason == "" || was.Reason != "":
	case is.Reason == v1alpha1.VerdictAborted:
		if is.Aborted == was.Aborted {
			s.violated(R2, key, "it is aborted by %q, which had acted before", is.Aborted)
		}
	case !s.evident(d, revision, is.Reason):
		s.violated(R2, key, "the verdict %s has no evidence on a node with a pod of the revision", is.Reason)
	}
}

// verbNumber is the number in a verb's value; -1 if it has none.
func verbNumber(value string) int {
	if value == "" {
		return -1
	}
	_, number, numbered := strings.Cut(value, "/")
	if !numbered {
		return 0
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}

// evident reports whether a pod of a revision, once it was bound, showed what a verdict says.
func (s *state) evident(d *daemon, revision, reason string) bool {
	for _, p := range s.pods {
		if p.revision() != revision || p.cell == nil || p.cell.daemon != d || p.object.Spec.NodeName == "" {
			continue
		}
		switch reason {
		case v1alpha1.VerdictNodeNotReady:
			if slices.ContainsFunc(p.cell.at.downs, func(d downtime) bool { return s.bound(p, d) }) {
				return true // the node may be Ready again when the verdict is recorded
			}
		case v1alpha1.VerdictNotAvailable:
			if s.now.Sub(p.object.CreationTimestamp.Time) >= leastDeadline(d) {
				return true
			}
		default:
			if slices.Contains(p.showed, reason) {
				return true
			}
		}
	}
	return false
}

// bound reports whether a pod was bound before its node was down. Conditions have whole seconds.
func (s *state) bound(p *pod, d downtime) bool {
	return (d.until < 0 || d.until >= p.at) && (p.boundAt < 0 || !d.since.Before(s.h.Records[p.boundAt].At.Truncate(time.Second)))
}

// leastDeadline is the shortest deadline of any spec of a daemon.
func leastDeadline(d *daemon) time.Duration {
	least := 600 * time.Second
	for _, spec := range d.specsSince(0) {
		if spec.rollout != nil && spec.rollout.ProgressDeadlineSeconds != nil {
			least = min(least, time.Duration(*spec.rollout.ProgressDeadlineSeconds)*time.Second)
		}
	}
	return least
}

// show notes what the containers of a bound pod show.
func (p *pod) show() {
	if p.object.Spec.NodeName == "" {
		return
	}
	for i := range p.object.Status.ContainerStatuses {
		if reason := shownBy(&p.object.Status.ContainerStatuses[i]); reason != "" && !slices.Contains(p.showed, reason) {
			p.showed = append(p.showed, reason)
		}
	}
}

func shownBy(status *corev1.ContainerStatus) string {
	switch waiting := status.State.Waiting; {
	case waiting == nil || waiting.Reason == "CrashLoopBackOff":
		if status.RestartCount > 0 {
			return v1alpha1.VerdictContainerRestarts
		}
		return ""
	case waiting.Reason == "ErrImagePull" || waiting.Reason == "ImagePullBackOff":
		return v1alpha1.VerdictImageMissing
	case waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
		return v1alpha1.VerdictContainerNotStarting
	}
	return ""
}

// failed returns what is recorded of the revision of a daemon's template; nil if that has not failed.
func (s *state) failed(d *daemon) *ruling {
	newest := s.newest(d)
	if newest == nil || d.spec().rollout == nil {
		return nil
	}
	if stable := s.stable(d); stable == nil || stable.UID == newest.UID {
		return nil
	}
	if of := rulingOf(newest); of.Reason != "" {
		return &of
	}
	return nil
}

// returns reports whether all nodes of a daemon return to the stable revision.
func (s *state) returns(d *daemon) bool {
	of := s.failed(d)
	return of != nil && (of.Returns || d.spec().rollout.OnFailure == v1alpha1.OnFailureRollback) && !d.spec().rollout.Paused
}
