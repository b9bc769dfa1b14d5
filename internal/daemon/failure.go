package daemon

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// FailureTerms are what makes the update revision fail, and what happens then: spec.rollout.failure and the fields beside it,
// parsed. They are read-only.
type FailureTerms struct {
	OnFailure v1alpha1.OnFailure

	maxFailed  *intstr.IntOrString // nil for the default
	deadline   time.Duration       // from binding to availability; 0 for the default
	restarts   int                 // 0: restarts are no evidence
	window     time.Duration       // of restarts
	nodeWindow time.Duration       // from binding to the end of its node's readiness; 0: that is no evidence
}

const (
	defaultDeadline   = 600 * time.Second
	defaultRestarts   = 3
	defaultWindow     = 600 * time.Second
	defaultNodeWindow = 600 * time.Second
	mostSeconds       = 86_400
)

// ordinal is a percentage of at least 1%.
var ordinal = regexp.MustCompile(`^([1-9][0-9]?|100)%$`)

// newFailureTerms parses them, with the bounds that the schema of the CRD has.
func newFailureTerms(spec *v1alpha1.Rollout) (of FailureTerms, err error) {
	of = FailureTerms{OnFailure: cmp.Or(spec.OnFailure, v1alpha1.OnFailurePause), restarts: defaultRestarts, window: defaultWindow, nodeWindow: defaultNodeWindow}
	switch of.OnFailure {
	case v1alpha1.OnFailurePause, v1alpha1.OnFailureRollback, v1alpha1.OnFailureContinue:
	default:
		return of, fmt.Errorf("spec.rollout.onFailure must be Pause, Rollback or Continue, and is %q", spec.OnFailure)
	}
	if of.deadline, err = seconds("spec.rollout.progressDeadlineSeconds", spec.ProgressDeadlineSeconds, 1, 0); err != nil || spec.Failure == nil {
		return of, err
	}
	if of.window, err = seconds("spec.rollout.failure.windowSeconds", spec.Failure.WindowSeconds, 10, of.window); err != nil {
		return of, err
	}
	if of.nodeWindow, err = seconds("spec.rollout.failure.nodeWindowSeconds", spec.Failure.NodeWindowSeconds, 0, of.nodeWindow); err != nil {
		return of, err
	}
	if n := spec.Failure.Restarts; n != nil {
		if of.restarts = int(*n); of.restarts < 0 || of.restarts > mostEnds {
			return of, fmt.Errorf("spec.rollout.failure.restarts must be from 0 to %d, and is %d", mostEnds, *n)
		}
	}
	if of.maxFailed = spec.Failure.MaxFailedNodes; of.maxFailed != nil && !(of.maxFailed.Type == intstr.Int && of.maxFailed.IntVal >= 1 || of.maxFailed.Type == intstr.String && ordinal.MatchString(of.maxFailed.StrVal)) {
		return of, fmt.Errorf("spec.rollout.failure.maxFailedNodes must be a number of nodes, 1 or more, or a percentage from 1%% to 100%%, and is %q", of.maxFailed.String())
	}
	return of, nil
}

// seconds returns a time that is at least a number of seconds, or a default.
func seconds(field string, value *int32, least int32, instead time.Duration) (time.Duration, error) {
	switch {
	case value == nil:
		return instead, nil
	case *value < least || *value > mostSeconds:
		return 0, fmt.Errorf("%s must be from %d to %d, and is %d", field, least, mostSeconds, *value)
	}
	return time.Duration(*value) * time.Second, nil
}

// CheckDeadline refuses a deadline that no pod could meet.
func (f *FailureTerms) CheckDeadline(minReady time.Duration) error {
	if f.deadline > 0 && f.deadline <= minReady {
		return fmt.Errorf("spec.rollout.progressDeadlineSeconds is %d and must exceed spec.minReadySeconds, which is %d", int(f.deadline.Seconds()), int(minReady.Seconds()))
	}
	return nil
}

// within is the time from binding to availability.
func (f *FailureTerms) within(minReady time.Duration) time.Duration {
	switch {
	case f.deadline > 0:
		return f.deadline
	case minReady >= defaultDeadline:
		return minReady + defaultDeadline
	}
	return defaultDeadline
}

// threshold is the number of nodes that have to fail. The rollout begins until its first wave has passed, or, without waves, until as
// many nodes have an available pod of the update revision as are updated at a time.
func (f *FailureTerms) threshold(strategy *Strategy, desired int, begins bool) int {
	switch {
	case f.maxFailed != nil:
		return max(1, scaled(*f.maxFailed, desired))
	case begins:
		return 1
	}
	return strategy.most(desired)
}

// most is how many nodes are updated at a time.
func (s *Strategy) most(desired int) int {
	maxUnavailable, maxSurge := s.limits(desired)
	return max(1, maxUnavailable, maxSurge)
}
