package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// Placement says who turns the nodeName of an emitted pod into node affinity.
type Placement string

// The values of Placement.
const (
	// PlacementAuto leaves it to admission, and does it here while admission is not effective.
	PlacementAuto Placement = "auto"
	// PlacementWebhook leaves it to admission alone: while that is not effective no pod is made.
	PlacementWebhook Placement = "webhook"
	// PlacementDirect does it here; no admission is asked.
	PlacementDirect Placement = "direct"
)

// ParsePlacement refuses what is not supported.
func ParsePlacement(value string) (Placement, error) {
	switch placement := Placement(value); placement {
	case PlacementAuto, PlacementWebhook, PlacementDirect:
		return placement, nil
	case v1alpha1.PlacedByPolicy:
		return "", fmt.Errorf("placement %q is not supported yet: use auto, webhook or direct", value)
	}
	return "", fmt.Errorf("placement %q is unknown: use auto, webhook or direct", value)
}

// Values of the label placed_by.
const (
	placedByAdmission  = "admission"
	placedByController = v1alpha1.PlacedByController
)

// probeInterval is how long admission that came back may go unnoticed.
const probeInterval = 10 * time.Second

// webhookSuffix is in the name of every webhook of ours (deploy/manifests/webhook.yaml).
const webhookSuffix = "placement.everynode.dev"

// placer creates pods and knows whether admission does its part.
//
// It relies on the interlock: the API server refuses a pod with both nodeName and a scheduling
// gate, after all mutating admission. So an emitted pod that nobody rewrote is never stored (S2),
// and the refusal tells. Then the same rewrite is done here, and the API server is asked now and
// then, by a dry run, whether admission is back.
type placer struct {
	client client.Client
	mode   Placement
	// flipped is called, outside of mu, when admission stopped or began to be effective.
	flipped func(effective bool, cause string)

	mu     sync.Mutex
	cause  string      // why admission is not effective; empty while it is, as far as known
	sample *corev1.Pod // the last emitted pod, for the probe
}

func newPlacer(c client.Client, mode Placement, flipped func(bool, string)) *placer {
	p := &placer{client: c, mode: mode, flipped: flipped}
	if mode != PlacementDirect {
		admissionEffective.Set(1)
	}
	return p
}

// create stores an emitted pod and says who placed it. pod becomes what was stored.
func (p *placer) create(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if p.mode == PlacementDirect {
		return p.createHere(ctx, pod)
	}
	p.mu.Lock()
	p.sample = pod.DeepCopy()
	emitted, cause := p.sample, p.cause
	p.mu.Unlock()
	if p.mode == PlacementAuto && cause != "" {
		return p.createHere(ctx, pod)
	}
	err = p.client.Create(ctx, pod)
	cause = notEffective(err)
	if cause == "" {
		if err == nil {
			p.set(ctx, "")
		}
		return placedByAdmission, err
	}
	p.set(ctx, cause)
	if p.mode == PlacementWebhook {
		return "", &notEffectiveError{err}
	}
	emitted.DeepCopyInto(pod)
	return p.createHere(ctx, pod)
}

func (p *placer) createHere(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return "", err
	}
	return placedByController, p.client.Create(ctx, pod)
}

// notEffectiveError is the failure to create a pod that only admission may place.
type notEffectiveError struct{ err error }

func (e *notEffectiveError) Error() string {
	return "placement admission is not effective, and --placement=webhook leaves placing to it alone: bring everynode-webhook and its configuration up, or use --placement=auto: " + e.err.Error()
}

func (e *notEffectiveError) Unwrap() error { return e.err }

// notEffective says why an error means that admission did not rewrite an emitted pod; empty when
// it means something else. Either the interlock held the pod, or our webhook was asked and
// failed.
func notEffective(err error) string {
	status, ok := err.(apierrors.APIStatus) //nolint:errorlint // as the client returns it
	if !ok {
		return ""
	}
	if apierrors.IsInvalid(err) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			if cause.Field == "spec.nodeName" && strings.Contains(cause.Message, "schedulingGates") {
				return "no admission rewrote the pod: the API server has no webhook configuration for it, or that one does not apply"
			}
		}
	}
	if apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook") && strings.Contains(err.Error(), webhookSuffix) {
		return "everynode-webhook does not answer: " + status.Status().Message
	}
	return ""
}

// set notes why admission is not effective, or with an empty cause that it is.
func (p *placer) set(ctx context.Context, cause string) {
	p.mu.Lock()
	flipped := (p.cause == "") != (cause == "")
	p.cause = cause
	p.mu.Unlock()
	if !flipped {
		return
	}
	if cause == "" {
		admissionEffective.Set(1)
		log.FromContext(ctx).Info("placement admission is effective again")
	} else {
		admissionEffective.Set(0)
		log.FromContext(ctx).Info("placement admission is not effective", "cause", cause, "placement", p.mode)
	}
	p.flipped(cause == "", cause)
}

// condition tells of placement in a daemon's status; there is none where no admission is asked.
func (p *placer) condition() []metav1.Condition {
	if p.mode == PlacementDirect {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	condition := metav1.Condition{Type: v1alpha1.ConditionPlacementAdmission, Status: metav1.ConditionTrue,
		Reason: reasonEffective, Message: "admission pins this DaemonSet's pods to their nodes"}
	if p.cause != "" {
		condition.Status, condition.Reason = metav1.ConditionFalse, reasonNotEffective
		condition.Message = "pods are pinned by the controller: " + p.cause
		if p.mode == PlacementWebhook {
			condition.Message = "no pods are created: " + p.cause
		}
	}
	return []metav1.Condition{condition}
}

// Reasons of the condition PlacementAdmission and of its events.
const (
	reasonEffective    = "PlacementAdmissionEffective"
	reasonNotEffective = "PlacementAdmissionNotEffective"
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

// probe sends the last emitted pod as a dry run. That its name is taken says as much as a
// success: the pod was rewritten and found valid before its name was looked at.
func (p *placer) probe(ctx context.Context) {
	p.mu.Lock()
	cause, sample := p.cause, p.sample
	p.mu.Unlock()
	if cause == "" || sample == nil {
		return
	}
	err := p.client.Create(ctx, sample.DeepCopy(), client.DryRunAll)
	if err == nil || apierrors.IsAlreadyExists(err) {
		p.set(ctx, "")
	}
}
