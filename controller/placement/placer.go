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

// Mode says who turns the nodeName of an emitted pod into node affinity.
type Mode string

// The values of Mode.
const (
	// Auto leaves it to admission, and does it here while admission is not effective.
	Auto Mode = "auto"
	// Admission leaves it to admission alone, a webhook or a policy: while that is not
	// effective no pod is made.
	Admission Mode = "admission"
	// Direct does it here; no admission is asked.
	Direct Mode = "direct"
)

// Parse refuses what is not supported.
func Parse(value string) (Mode, error) {
	switch placement := Mode(value); placement {
	case Auto, Admission, Direct:
		return placement, nil
	case v1alpha1.PlacedByWebhook, v1alpha1.PlacedByPolicy:
		return "", fmt.Errorf("placement %q: whether a webhook or a policy places pods is decided by which of them is installed: use auto, admission or direct", value)
	}
	return "", fmt.Errorf("placement %q is unknown: use auto, admission or direct", value)
}

// Who placed a pod: the values of the metrics' label placed_by.
const (
	PlacedByAdmission  = "admission"
	PlacedByController = v1alpha1.PlacedByController
)

// ProbeInterval is the time between two probes: admission that came back may go unnoticed for so long.
const ProbeInterval = 10 * time.Second

// Placer creates pods and knows whether admission does its part. It is safe for concurrent use.
//
// It relies on the interlock: the API server refuses a pod with both nodeName and a scheduling
// gate, after all mutating admission. So an emitted pod that nobody rewrote is never stored (S2),
// and the refusal tells. Then the same rewrite is done here, and the API server is asked now and
// then, by a dry run, whether admission is back.
type Placer struct {
	Options

	mu    sync.Mutex
	cause string // why admission is not effective; empty while it is, as far as known
}

// Options are what a Placer works with.
type Options struct {
	Client client.Writer
	Mode   Mode
	// NoPolicy is why no policy can place pods in this cluster; "" when one can.
	NoPolicy string
	// Samples gives emitted pods for the probe.
	Samples func(limit int) []*corev1.Pod
	// Answered is called for each of them whose answer shows whether admission is effective.
	Answered func(*corev1.Pod)
	// Flipped is called when admission stopped or began to be effective, or is not for another reason than before.
	// Nothing is locked then.
	Flipped func(effective bool, cause string)
}

// New makes a Placer that takes admission for effective.
func New(options Options) *Placer {
	if options.Mode != Direct {
		admissionEffective.Set(1)
	}
	return &Placer{Options: options}
}

var admissionEffective = metric.NewGauge("everynode_placement_admission_effective",
	"1 while the cluster's admission rewrites emitted pods, 0 while the controller pins them itself.")

func init() { metrics.Registry.MustRegister(admissionEffective) }

// Create stores an emitted pod and says who placed it. pod becomes what was stored.
func (p *Placer) Create(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if p.Mode == Direct || !AdmissionPlaces(pod) {
		return p.createHere(ctx, pod)
	}
	if p.Mode == Auto && p.absence() != "" {
		return p.createHere(ctx, pod)
	}
	emitted := pod.DeepCopy() // a create that fails may leave anything in its object
	err = p.Client.Create(ctx, pod)
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
		return p.createHere(ctx, pod)
	case apierrors.IsInternalError(err) && !answers.FailedWebhook(err) && p.Mode == Auto:
		emitted.DeepCopyInto(pod)
		return p.createDespite(ctx, pod, err)
	}
	return PlacedByAdmission, err
}

// createDespite places a pod whose admission ended in an internal error that names nobody, as a
// patch does that cannot be applied. When the pod is stored once admission has no part in it, it
// was admission.
func (p *Placer) createDespite(ctx context.Context, pod *corev1.Pod, cause error) (placedBy string, err error) {
	placedBy, err = p.createHere(ctx, pod)
	if err != nil {
		return placedBy, cause
	}
	p.set(ctx, "the API server cannot use what admission answers: "+cause.Error())
	return placedBy, nil
}

// AdmissionPlaces says whether admission, when it is effective, places an emitted pod. It leaves our own
// namespace and mirror pods alone and refuses a pod that contradicts itself; what the API server says
// of such a pod tells nothing of admission.
func AdmissionPlaces(pod *corev1.Pod) bool {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror || pod.Namespace == v1alpha1.SystemNamespace {
		return false
	}
	return daemon.CheckPin(pod) == nil
}

func (p *Placer) createHere(ctx context.Context, pod *corev1.Pod) (placedBy string, err error) {
	if _, err := daemon.Rewrite(pod, v1alpha1.PlacedByController); err != nil {
		return "", err
	}
	return PlacedByController, p.Client.Create(ctx, pod)
}

// notEffective is what the error of a create says of admission, with what is known of this cluster: where
// nobody is asked it may be for a policy that could not be installed.
func (p *Placer) notEffective(err error) string {
	cause := answers.NotEffective(err)
	if cause == answers.NotAsked && p.NoPolicy != "" {
		cause += "; " + p.NoPolicy
	}
	return cause
}

// set notes why admission is not effective, or with an empty cause that it is.
func (p *Placer) set(ctx context.Context, cause string) {
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
		log.FromContext(ctx).Info("placement admission is not effective", "cause", cause, "placement", p.Mode)
	}
	p.Flipped(cause == "", cause)
}

// absence says why admission is not effective; it is empty while admission is, as far as known.
func (p *Placer) absence() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// Condition tells of placement in a daemon's status; there is none where no admission is asked.
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

// shownCause is how many bytes of what admission answered are in a condition.
const shownCause = 1500

// Reasons of the condition PlacementAdmission and of its events.
const (
	ReasonEffective    = v1alpha1.ReasonPlacementAdmissionEffective
	ReasonNotEffective = v1alpha1.ReasonPlacementAdmissionNotEffective
)

// probeLimit is how many daemons are tried at a time when the API server refuses their pods before it
// comes to placement.
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
