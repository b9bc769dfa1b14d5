package answers

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// Reasons of events and conditions. Failures of pods have apps/v1's names.
const (
	ReasonFailed       = v1alpha1.EventFailedCreate
	ReasonNameTaken    = v1alpha1.EventPodNameTaken
	ReasonTerminating  = v1alpha1.EventNamespaceTerminating
	ReasonNoNamespace  = v1alpha1.EventNamespaceNotFound
	ReasonUnselected   = v1alpha1.EventSelectorDoesNotMatch
	ReasonUnauthorized = v1alpha1.EventUnauthorized
	ReasonNotServed    = v1alpha1.EventNotServed
)

// Request is the kind of request that an answer is for.
type Request int

const (
	// Create of an object whose name should be free.
	Create Request = iota
	// Change is a delete or a patch of an object in the state in which it was seen.
	Change
)

// Row is one row of the table of answers.
type Row struct {
	Name     string
	Concerns Concern
	Reason   string // of the event and the condition; "" for that of the request that failed
	Remedy   string // what the user can do; "" if the text of the answer states it
	// AboutNamespace: the event regards the namespace, which accepts no events itself.
	AboutNamespace bool

	matches func(answer) bool
	only    []Request                   // the requests it may be the answer to; nil for all
	lost    bool                        // the request may have been carried out
	placed  bool                        // the API server only answers so after placement admission has run
	absence func(message string) string // why placement admission is not effective
}

// answer is the part of an error that the rows read.
type answer struct {
	err    error
	status metav1.Status // zero if no API server answered
	text   string        // the message without "pods … is forbidden: "
}

func read(err error) answer {
	a := answer{err: err}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		a.status = status.Status()
		a.text = forbiddenPrefix.ReplaceAllString(a.status.Message, "")
	}
	return a
}

// rows are tried from the top; the last one matches all others. A denial by a policy or a webhook comes before
// texts that it may quote. The texts are those of Kubernetes 1.35 to 1.37; a changed one falls to the last row,
// which costs one more request for each of a few nodes.
var rows = []Row{
	// Failures of our own.
	{Name: "the request was held back", Concerns: Nothing, matches: is[*HeldBackError]},
	{Name: "only admission places pods, and it is not effective", Concerns: Admission, matches: is[*NotEffectiveError]},
	{Name: "the template's pins exclude the node", Concerns: Pod, matches: is[*daemon.ContradictoryPinError]},
	{Name: "the template's affinity is too large", Concerns: Pod, matches: is[*daemon.OversizedAffinityError]},
	{Name: "the name is taken", Concerns: Pod, Reason: ReasonNameTaken, matches: wraps(ErrNameTaken, ErrFormer)},
	{Name: "the selector does not match the created object", Concerns: Daemon, Reason: ReasonUnselected, matches: wraps(ErrUnselected)},
	{Name: "admission changes labels that the selector requires", Concerns: Node, Reason: ReasonUnselected, matches: wraps(ErrRelabelled)},

	// Placement admission. A mutating policy of ours is named without its kind; a validating one denies by the
	// row below.
	{Name: "no admission rewrote the emitted pod (the interlock)", Concerns: Admission, matches: interlocked, absence: func(string) string { return NotAsked }},
	{Name: "our webhook cannot be called", Concerns: Admission, absence: unanswering, matches: func(a answer) bool {
		return FailedWebhook(a.err) && strings.Contains(a.err.Error(), WebhookSuffix)
	}},
	{Name: "our policy cannot be evaluated (k8s.io/apiserver pkg/admission/plugin/policy/generic PolicyError)", Concerns: Admission, matches: failedPolicy,
		absence: func(message string) string { return "the placement policy cannot be evaluated: " + message }},

	// Nothing to repeat.
	{Name: "the object to create exists", Concerns: Nothing, placed: true, only: []Request{Create}, matches: func(a answer) bool { return apierrors.IsAlreadyExists(a.err) }},
	{Name: "the object to change is gone or has changed", Concerns: Nothing, only: []Request{Change}, matches: overtaken},

	// The server's own state.
	{Name: "no answer of an API server", Concerns: Server, lost: true, matches: coded(0),
		Remedy: "if this persists, check that the API server runs and that the controller can reach it"},
	{Name: "a webhook or a policy denies (k8s.io/apiserver pkg/admission/plugin/webhook/errors, plugin/policy)", Concerns: Node, matches: denied,
		Remedy: "change spec.template so that it is allowed, or exempt these pods"},
	{Name: "another webhook cannot be called", Concerns: Daemon, matches: func(a answer) bool { return FailedWebhook(a.err) },
		Remedy: "restore this webhook, or exempt these pods in its configuration"},
	{Name: "the API server is overloaded", Concerns: Server, matches: coded(http.StatusTooManyRequests),
		Remedy: "if this persists, the API server has too little capacity, or another client exhausts it"},
	{Name: "the API server fails", Concerns: Server, lost: true, matches: func(a answer) bool { return a.status.Code >= 500 },
		Remedy: "if this persists, the API server's log shows the reason"},
	// A token is rotated, and an API server that starts does not know all its resources yet: both are
	// temporary.
	{Name: "our token is not accepted", Concerns: Server, Reason: ReasonUnauthorized, matches: coded(http.StatusUnauthorized),
		Remedy: "the API server does not accept the controller's credentials: if this persists, check its ServiceAccount or kubeconfig, and the clocks"},
	{Name: "the namespace is gone", Concerns: Daemon, Reason: ReasonNoNamespace, AboutNamespace: true, matches: notFound(func(d *metav1.StatusDetails) bool { return d.Kind == "namespaces" }),
		Remedy: "the DaemonSet is deleted with its namespace; create it in another one"},
	{Name: "an object that was read is gone", Concerns: Server, matches: notFound(func(d *metav1.StatusDetails) bool { return d.Name != "" }),
		Remedy: "the controller retries"},
	{Name: "the resource is not served", Concerns: Server, Reason: ReasonNotServed, matches: coded(http.StatusNotFound),
		Remedy: "the server that answers does not serve this resource: if this persists, check the address of the API server, and the CustomResourceDefinitions"},

	// Refusals of the object.
	{Name: "the namespace is being deleted", Concerns: Daemon, Reason: ReasonTerminating, AboutNamespace: true, matches: func(a answer) bool {
		return apierrors.HasStatusCause(a.err, corev1.NamespaceTerminatingCause)
	}, Remedy: "if the namespace is not removed, its conditions show what it waits for"},
	{Name: "the template gives no valid pod", Concerns: Daemon, placed: true, matches: func(a answer) bool { return apierrors.IsInvalid(a.err) },
		Remedy: "correct spec.template"},
	{Name: "the request is malformed or too large", Concerns: Daemon, matches: func(a answer) bool {
		return apierrors.IsBadRequest(a.err) || apierrors.IsRequestEntityTooLargeError(a.err)
	}, Remedy: "correct spec.template"},
	{Name: "our token has no permission", Concerns: Daemon, matches: forbids(`User ".*" cannot `),
		Remedy: "restore the RBAC rules of the chart for the controller's ServiceAccount"},
	{Name: "a quota (pkg/admission/plugin/resourcequota)", Concerns: Daemon, placed: true, matches: forbids(`(exceeded quota|failed quota|status unknown for quota|insufficient quota)`),
		Remedy: "raise the ResourceQuota or free some of it, or set in spec.template what it requires"},
	{Name: "Pod Security (k8s.io/pod-security-admission)", Concerns: Daemon, placed: true, matches: forbids(`violates PodSecurity`),
		Remedy: "change spec.template, or the namespace's pod-security.kubernetes.io labels"},
	{Name: "a LimitRange (plugin/pkg/admission/limitranger)", Concerns: Daemon, matches: forbids(`\[?((maximum|minimum) \S+ usage per|\S+ max limit to request ratio per)`),
		Remedy: "change the containers' resources in spec.template, or the LimitRange"},
	{Name: "the service account (plugin/pkg/admission/serviceaccount)", Concerns: Daemon, matches: forbids(`(error looking up service account|no service account specified)`),
		Remedy: "create the ServiceAccount, or name another one in spec.template"},
	{Name: "the priority class (plugin/pkg/admission/priority)", Concerns: Daemon, matches: forbids(`(no PriorityClass with name|the integer value of priority|the string value of PreemptionPolicy)`),
		Remedy: "create the PriorityClass, or name another one in spec.template"},
	{Name: "the runtime class (plugin/pkg/admission/runtimeclass)", Concerns: Daemon, matches: forbids(`(pod rejected: (RuntimeClass|Pod.*Overhead)|conflict: runtimeClass)`),
		Remedy: "create or correct the RuntimeClass, or name another one in spec.template"},
	{Name: "the namespace's node selector (plugin/pkg/admission/podnodeselector)", Concerns: Daemon, matches: forbids(`pod node label selector`),
		Remedy: "change nodeSelector in spec.template, or the namespace's annotation scheduler.alpha.kubernetes.io/node-selector"},
	{Name: "anything else", Concerns: Node, matches: func(answer) bool { return true },
		Remedy: "find out which of the API server's admission plugins refuses it"},
}

// Of returns the row of an error of a request.
func Of(request Request, err error) Row {
	asked := read(err)
	for _, row := range rows {
		if (row.only == nil || slices.Contains(row.only, request)) && row.matches(asked) {
			return row
		}
	}
	return rows[len(rows)-1]
}

// NoAnswer reports whether an error carries no answer about the object that was sent: the API server was not
// reached, could not process the request, or asks to retry.
func NoAnswer(err error) bool { return Of(Create, err).Concerns == Server }

// MayBeDone reports whether a failed request may have been executed: its answer was lost, or the API server
// does not know either. A request that it rejected unread was not.
func MayBeDone(err error) bool { return err != nil && Of(Create, err).lost }

// Exceeds reports whether an answer is a refusal by a quota without room.
func Exceeds(err error, quota string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: "+quota+",")
}

var forbiddenPrefix = regexp.MustCompile(`^[a-z.]+ "[^"]*" is forbidden: `)

// overtaken matches the answers to a change of an object that is gone or has changed. An invalid owner
// reference is one of two controllers: another writer was first.
func overtaken(a answer) bool {
	if apierrors.IsNotFound(a.err) || apierrors.IsConflict(a.err) {
		return true
	}
	return apierrors.IsInvalid(a.err) && a.status.Details != nil && slices.ContainsFunc(a.status.Details.Causes, func(cause metav1.StatusCause) bool {
		return cause.Field == "metadata.uid" || strings.HasPrefix(cause.Field, "metadata.ownerReferences")
	})
}

func is[E error](a answer) bool {
	var as E
	return errors.As(a.err, &as)
}

func wraps(targets ...error) func(answer) bool {
	return func(a answer) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(a.err, target) })
	}
}

func coded(code int32) func(answer) bool {
	return func(a answer) bool { return a.status.Code == code }
}

func notFound(what func(*metav1.StatusDetails) bool) func(answer) bool {
	return func(a answer) bool {
		return apierrors.IsNotFound(a.err) && a.status.Details != nil && what(a.status.Details)
	}
}

var deniedText = regexp.MustCompile(`^(admission webhook|ValidatingAdmissionPolicy|policy) ["']`)

func denied(a answer) bool { return deniedText.MatchString(a.text) }

// forbids matches the beginning of the text of a 403. Names of pods have no quotes, so no text of a user
// precedes it.
func forbids(pattern string) func(answer) bool {
	begins := regexp.MustCompile("^" + pattern)
	return func(a answer) bool { return apierrors.IsForbidden(a.err) && begins.MatchString(a.text) }
}
