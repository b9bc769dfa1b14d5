package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
)

// Placement says who turns the nodeName of an emitted pod into node affinity.
type Placement string

// The values of Placement.
const (
	// PlacementAuto leaves it to admission, and does it here while admission is not effective.
	PlacementAuto Placement = "auto"
	// PlacementAdmission leaves it to admission alone, a webhook or a policy: while that is not
	// effective no pod is made.
	PlacementAdmission Placement = "admission"
	// PlacementDirect does it here; no admission is asked.
	PlacementDirect Placement = "direct"
)

// ParsePlacement refuses what is not supported.
func ParsePlacement(value string) (Placement, error) {
	switch placement := Placement(value); placement {
	case PlacementAuto, PlacementAdmission, PlacementDirect:
		return placement, nil
	case v1alpha1.PlacedByWebhook, v1alpha1.PlacedByPolicy:
		return "", fmt.Errorf("placement %q: whether a webhook or a policy places pods is decided by which of them is installed: use auto, admission or direct", value)
	}
	return "", fmt.Errorf("placement %q is unknown: use auto, admission or direct", value)
}

// Values of the label placed_by.
const (
	placedByAdmission  = "admission"
	placedByController = v1alpha1.PlacedByController
)

// probeInterval is how long admission that came back may go unnoticed.
const probeInterval = 10 * time.Second

// placer creates pods and knows whether admission does its part.
//
// It relies on the interlock: the API server refuses a pod with both nodeName and a scheduling
// gate, after all mutating admission. So an emitted pod that nobody rewrote is never stored (S2),
// and the refusal tells. Then the same rewrite is done here, and the API server is asked now and
// then, by a dry run, whether admission is back.
type placer struct {
	client client.Client
	mode   Placement
	// samples gives emitted pods for the probe.
	samples func(limit int) []*corev1.Pod
	// answered is called for each of them whose answer shows whether admission is effective.
	answered func(*corev1.Pod)
	// flipped is called, outside of mu, when admission stopped or began to be effective, or is not for
	// another reason than before.
	flipped func(effective bool, cause string)
	// noPolicy says why no policy can do it in this cluster; "" when one can.
	noPolicy string

	mu    sync.Mutex
	cause string // why admission is not effective; empty while it is, as far as known
}

func newPlacer(c client.Client, mode Placement, samples func(int) []*corev1.Pod, flipped func(bool, string)) *placer {
	p := &placer{client: c, mode: mode, samples: samples, flipped: flipped, answered: func(*corev1.Pod) {}}
	if mode != PlacementDirect {
		admissionEffective.Set(1)
	}
	return p
}

// create stores an emitted pod and says who placed it. pod becomes what was stored.
func (p *placer) create(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if p.mode == PlacementDirect || !admissionPlaces(pod) {
		return p.createHere(ctx, pod)
	}
	if p.mode == PlacementAuto && p.absence() != "" {
		return p.createHere(ctx, pod)
	}
	emitted := pod.DeepCopy() // a create that fails may leave anything in its object
	err = p.client.Create(ctx, pod)
	cause := p.notEffective(err)
	switch {
	case err == nil:
		p.set(ctx, "")
		return placedByAdmission, nil
	case cause != "" && p.mode == PlacementAdmission:
		p.set(ctx, cause)
		return "", &answers.NotEffectiveError{Err: err}
	case cause != "":
		p.set(ctx, cause)
		emitted.DeepCopyInto(pod)
		return p.createHere(ctx, pod)
	case apierrors.IsInternalError(err) && !answers.FailedWebhook(err) && p.mode == PlacementAuto:
		emitted.DeepCopyInto(pod)
		return p.createDespite(ctx, pod, err)
	}
	return placedByAdmission, err
}

// createDespite places a pod whose admission ended in an internal error that names nobody, as a
// patch does that cannot be applied. When the pod is stored once admission has no part in it, it
// was admission.
func (p *placer) createDespite(ctx context.Context, pod *corev1.Pod, cause error) (placedBy string, err error) {
	placedBy, err = p.createHere(ctx, pod)
	if err != nil {
		return placedBy, cause
	}
	p.set(ctx, "the API server cannot use what admission answers: "+cause.Error())
	return placedBy, nil
}

// admissionPlaces says whether admission, when it is effective, places an emitted pod. It leaves our own
// namespace and mirror pods alone and refuses a pod that contradicts itself; what the API server says
// of such a pod tells nothing of admission.
func admissionPlaces(pod *corev1.Pod) bool {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror || pod.Namespace == v1alpha1.SystemNamespace {
		return false
	}
	return daemon.CheckPin(pod) == nil
}

func (p *placer) createHere(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return "", err
	}
	return placedByController, p.client.Create(ctx, pod)
}

// notEffective is what the error of a create says of admission, with what is known of this cluster: where
// nobody is asked it may be for a policy that could not be installed.
func (p *placer) notEffective(err error) string {
	cause := answers.NotEffective(err)
	if cause == answers.NotAsked && p.noPolicy != "" {
		cause += "; " + p.noPolicy
	}
	return cause
}

// set notes why admission is not effective, or with an empty cause that it is.
func (p *placer) set(ctx context.Context, cause string) {
	p.mu.Lock()
	// What to do about it is what makes a cause another one: its text may tell the time.
	flipped := (p.cause == "") != (cause == "") || answers.Remedy(p.cause) != answers.Remedy(cause)
	p.cause = cause
	if cause == "" {
		admissionEffective.Set(1)
	} else {
		admissionEffective.Set(0)
	}
	p.mu.Unlock()
	if !flipped {
		return
	}
	if cause == "" {
		log.FromContext(ctx).Info("placement admission is effective again")
	} else {
		log.FromContext(ctx).Info("placement admission is not effective", "cause", cause, "placement", p.mode)
	}
	p.flipped(cause == "", cause)
}

// absence says why admission is not effective; it is empty while admission is, as far as known.
func (p *placer) absence() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// condition tells of placement in a daemon's status; there is none where no admission is asked.
func (p *placer) condition() []metav1.Condition {
	if p.mode == PlacementDirect {
		return nil
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionPlacementAdmission, Status: metav1.ConditionTrue,
		Reason: reasonEffective, Message: "admission pins this DaemonSet's pods to their nodes"}
	if cause := p.absence(); cause != "" {
		condition.Status, condition.Reason = metav1.ConditionFalse, reasonNotEffective
		condition.Message = "pods are pinned by the controller: " + cause
		if p.mode == PlacementAdmission {
			condition.Message = "no pods are created: " + cause
		}
		condition.Message = daemon.Shorten(condition.Message, shownCause)
	}
	return []metav1.Condition{condition}
}

// shownCause is how many bytes of what admission answered are in a condition.
const shownCause = 1500

// Reasons of the condition PlacementAdmission and of its events.
const (
	reasonEffective    = v1alpha1.ReasonPlacementAdmissionEffective
	reasonNotEffective = v1alpha1.ReasonPlacementAdmissionNotEffective
)

// Start asks, while admission is not effective, whether it is back. It runs until ctx ends.
func (p *placer) Start(ctx context.Context) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.probe(ctx)
		}
	}
}

// probeLimit is how many daemons are tried at a time when the API server refuses their pods before it
// comes to placement.
const probeLimit = 5

// probe sends emitted pods as dry runs, until one of them shows whether admission is back.
func (p *placer) probe(ctx context.Context) {
	if p.absence() == "" {
		return
	}
	for _, sample := range p.samples(probeLimit) {
		if !admissionPlaces(sample) {
			continue
		}
		err := p.client.Create(ctx, sample.DeepCopy(), client.DryRunAll)
		cause := p.notEffective(err)
		if cause == "" && !answers.CameThrough(err) {
			continue
		}
		p.answered(sample)
		p.set(ctx, cause)
		return
	}
}
