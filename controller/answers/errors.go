package answers

import (
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
)

// The controller's own failures, which have rows in the table.
var (
	// ErrNameTaken is the failure to create a pod whose name another owner's pod has.
	ErrNameTaken = errors.New("the name is taken by a pod that the DaemonSet does not control")
	// ErrFormer is the failure to create a pod while one of a former DaemonSet of the same name exists
	// (k/k#131684).
	ErrFormer = errors.New("it belongs to a former DaemonSet of this name and still exists; waiting until it is gone")
	// ErrUnselected is the failure to create an object that its DaemonSet would not select.
	ErrUnselected = errors.New("spec.selector requires a value of a label that the controller sets on its pods (" +
		appsv1.ControllerRevisionHashLabelKey + ", " + extensionsv1beta1.DaemonSetTemplateGenerationKey +
		"), which differs from it, so that it would select none of its pods: recreate it with a selector and a template without that label")
	// ErrRelabelled is the failure to create an object whose labels admission changed.
	ErrRelabelled = errors.New("admission changed its labels so that spec.selector does not match them, and it was deleted: " +
		"correct the mutating webhook or policy that changes them")
)

// PodError is the failure of an operation on a pod. A condition groups nodes by the answer, and has to know
// which names in it are the pod's own.
type PodError struct {
	Doing, Pod, Node string
	Err              error
}

func (e *PodError) Error() string {
	return fmt.Sprintf("%s pod %s for node %s: %v", e.Doing, e.Pod, e.Node, e.Err)
}

func (e *PodError) Unwrap() error { return e.Err }

// Failure is an error with a reason for its event, used if its row in the table has none.
type Failure struct {
	Reason string
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// HeldBackError is the failure to request a pod of a daemon whose pods are refused. Nothing was sent.
type HeldBackError struct {
	Wait    time.Duration
	Because error // the answer to another request
}

func (e *HeldBackError) Error() string {
	return fmt.Sprintf("held back for %s: %v", e.Wait, e.Because)
}

// NotEffectiveError is the failure to create a pod that only admission may place.
type NotEffectiveError struct{ Err error }

func (e *NotEffectiveError) Error() string {
	return "placement admission is not effective, and with --placement=admission only admission places pods: restore everynode-webhook and its configuration, or the policy everynode-placement where that is installed instead, or use --placement=auto: " + e.Err.Error()
}

func (e *NotEffectiveError) Unwrap() error { return e.Err }
