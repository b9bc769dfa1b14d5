package placement

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
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/internal/metric"
)

// Mode is what turns the nodeName of an emitted pod into node affinity.
type Mode string

// The values of Mode.
const (
	// Auto uses admission, and the controller while admission is not effective.
	Auto Mode = "auto"
	// Admission uses only admission, a webhook or a policy: while that is not effective no pod is created.
	Admission Mode = "admission"
	// Direct uses only the controller.
	Direct Mode = "direct"
)

// Parse returns an error for unknown modes.
func Parse(value string) (Mode, error) {
	switch placement := Mode(value); placement {
	case Auto, Admission, Direct:
		return placement, nil
	case v1alpha1.PlacedByWebhook, v1alpha1.PlacedByPolicy:
		return "", fmt.Errorf("placement %q: the installed one of webhook and policy places pods: use auto, admission or direct", value)
	}
	return "", fmt.Errorf("placement %q is unknown: use auto, admission or direct", value)
}

// The values of the metrics' label placed_by.
const (
	PlacedByAdmission  = "admission"
	PlacedByController = v1alpha1.PlacedByController
)

// ProbeInterval is the time between two probes, and so the delay until admission is used again.
const ProbeInterval = 10 * time.Second

// Placer creates pods and observes whether admission is effective. It is safe for concurrent use.
//
// It relies on the interlock: the API server refuses a pod with both nodeName and a scheduling gate, after all
// mutating admission. So an emitted pod that was not rewritten is never stored (S2), and the refusal reveals
// it. Then the controller does the same rewrite, and probes by dry runs whether admission is back.
type Placer struct {
	Options

	mu    sync.Mutex
	cause string // why admission is not effective; empty while it is, as far as known
}

// Options are the dependencies of a Placer.
type Options struct {
	Client client.Writer
	Mode   Mode
	// NoPolicy is the reason why no policy can place pods in this cluster; "" if one can.
	NoPolicy string
	// Samples returns emitted pods for the probe.
	Samples func(limit int) []*corev1.Pod
	// Answered is called for each of them whose answer shows whether admission is effective.
	Answered func(*corev1.Pod)
	// Flipped is called when admission stops or begins to be effective, or is not effective for another reason
	// than before. No lock is held then.
	Flipped func(effective bool, cause string)
}

// New returns a Placer that assumes that admission is effective.
func New(options Options) *Placer {
	if options.Mode != Direct {
		admissionEffective.Set(1)
	}
	return &Placer{Options: options}
}

var admissionEffective = metric.NewGauge("everynode_placement_admission_effective",
	"1 while the cluster's admission rewrites emitted pods, 0 while the controller pins them itself.")

func init() { metrics.Registry.MustRegister(admissionEffective) }

// Create stores an emitted pod and returns what placed it. pod gets the metadata of the stored one.
func (p *Placer) Create(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	return p.create(ctx, pod)
}

// DryRun is Create without storing the pod. pod becomes what would be stored.
func (p *Placer) DryRun(ctx context.Context, pod *corev1.Pod) error {
	_, err := p.create(ctx, pod, client.DryRunAll)
	return err
}

func (p *Placer) create(ctx context.Context, pod *corev1.Pod, how ...client.CreateOption) (placedBy string, err error) {
	if p.Mode == Direct || !AdmissionPlaces(pod) {
		return p.createHere(ctx, pod, how)
	}
	if p.Mode == Auto && p.absence() != "" {
		return p.createHere(ctx, pod, how)
	}
	emitted := pod.DeepCopy() // a failed create may change its object
	err = p.Client.Create(ctx, pod, how...)
	cause := p.notEffective(err)
	switch {
	case err == nil:
		p.set(ctx, "")
		return PlacedByAdmission, nil
	case cause != "" && p.Mode == Admission:
		p.set(ctx, cause)
		return "", &answers.NotEffectiveError{Err: err}
	case cause != "":
		p.set(ctx, cause)
		emitted.DeepCopyInto(pod)
		return p.createHere(ctx, pod, how)
	case apierrors.IsInternalError(err) && !answers.FailedWebhook(err) && p.Mode == Auto:
		emitted.DeepCopyInto(pod)
		return p.createDespite(ctx, pod, err, how)
	}
	return PlacedByAdmission, err
}

// createDespite places a pod whose admission ended in an internal error that names no webhook, for example
// because a patch cannot be applied. If the pod is stored without admission, admission was at fault.
func (p *Placer) createDespite(ctx context.Context, pod *corev1.Pod, cause error, how []client.CreateOption) (placedBy string, err error) {
	placedBy, err = p.createHere(ctx, pod, how)
	if err != nil {
		return placedBy, cause
	}
	p.set(ctx, "the API server cannot use admission's answer: "+cause.Error())
	return placedBy, nil
}

// AdmissionPlaces reports whether effective admission places an emitted pod. It ignores our own namespace and
// mirror pods, and refuses a pod that contradicts itself; the API server's answer for such a pod reveals
// nothing about admission.
func AdmissionPlaces(pod *corev1.Pod) bool {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror || pod.Namespace == v1alpha1.SystemNamespace {
		return false
	}
	return daemon.CheckPin(pod) == nil
}

func (p *Placer) createHere(ctx context.Context, pod *corev1.Pod, how []client.CreateOption) (placedBy string, err error) {
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return "", err
	}
	return PlacedByController, p.Client.Create(ctx, pod, how...)
}

// notEffective returns why admission is not effective by the error of a create, with knowledge of this cluster:
// without any admission, a policy may have failed to install.
func (p *Placer) notEffective(err error) string {
	cause := answers.NotEffective(err)
	if cause == answers.NotAsked && p.NoPolicy != "" {
		cause += "; " + p.NoPolicy
	}
	return cause
}

// set records why admission is not effective, or with an empty cause that it is.
func (p *Placer) set(ctx context.Context, cause string) {
	p.mu.Lock()
	// Causes differ if their remedies do: the text may contain the time.
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
		log.FromContext(ctx).Info("placement admission is not effective", "cause", cause, "placement", p.Mode)
	}
	p.Flipped(cause == "", cause)
}

// absence returns why admission is not effective; empty while it is, as far as known.
func (p *Placer) absence() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// Condition returns the placement condition of a daemon's status; none if admission is not used.
func (p *Placer) Condition() []metav1.Condition {
	if p.Mode == Direct {
		return nil
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionPlacementAdmission, Status: metav1.ConditionTrue,
		Reason: ReasonEffective, Message: "admission pins this DaemonSet's pods to their nodes"}
	if cause := p.absence(); cause != "" {
		condition.Status, condition.Reason = metav1.ConditionFalse, ReasonNotEffective
		condition.Message = "pods are pinned by the controller: " + cause
		if p.Mode == Admission {
			condition.Message = "no pods are created: " + cause
		}
		condition.Message = daemon.Shorten(condition.Message, shownCause)
	}
	return []metav1.Condition{condition}
}

// shownCause bounds the text of admission's answer in a condition.
const shownCause = 1500

// Reasons of the condition PlacementAdmission and of its events.
const (
	ReasonEffective    = v1alpha1.ReasonPlacementAdmissionEffective
	ReasonNotEffective = v1alpha1.ReasonPlacementAdmissionNotEffective
)

// probeLimit is how many daemons a probe tries when the API server refuses their pods before placement.
const probeLimit = 5

// Probe sends emitted pods as dry runs, until one of them shows whether admission is back.
func (p *Placer) Probe(ctx context.Context) {
	if p.absence() == "" {
		return
	}
	for _, sample := range p.Samples(probeLimit) {
		if !AdmissionPlaces(sample) {
			continue
		}
		err := p.Client.Create(ctx, sample.DeepCopy(), client.DryRunAll)
		cause := p.notEffective(err)
		if cause == "" && !answers.CameThrough(err) {
			continue
		}
		p.Answered(sample)
		p.set(ctx, cause)
		return
	}
}
