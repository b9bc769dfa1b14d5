package controller

import (
	"errors"
	"net/http"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/internal/daemon"
)

// concern is what the answer to a create of a pod is about, and so what backs off (docs/design.md).
type concern string

const (
	// concernsServer: there is no answer about the object. The cell asks again after 0.1 s, doubling to 10 s.
	concernsServer concern = "server"
	// concernsAdmission: placement admission is not effective, which every cell is planned again after.
	concernsAdmission concern = "placement admission"
	// concernsPod: the one name, or pins of the template that exclude the node. The cell backs off.
	concernsPod concern = "pod"
	// concernsDaemon: what every pod of the daemon has in common. The daemon backs off.
	concernsDaemon concern = "daemon"
	// concernsNode: who answered can tell nodes apart, and may mean this one alone. The cell backs off, and
	// the daemon when several nodes get such an answer.
	concernsNode concern = "node"
)

// answerRow is one row of the table of answers.
type answerRow struct {
	name     string
	matches  func(err error, text string) bool // text is the message without "pods … is forbidden: "
	concerns concern
}

// answers are tried from the top; the last one takes what no other does. Who denies by a policy or a webhook
// comes before what a denial may quote. The texts are those of Kubernetes 1.35 to 1.37; one that changes is
// taken by the last row, which costs each of a few nodes one request more.
var answers = []answerRow{
	{"placement admission is not effective", is[*notEffectiveError], concernsAdmission},
	{"the template's pins exclude the node", is[*daemon.ContradictoryPinError], concernsPod},
	{"the template's affinity is too large", is[*daemon.OversizedAffinityError], concernsPod},
	{"the name is taken", func(err error, _ string) bool { return errors.Is(err, errNameTaken) || errors.Is(err, errFormer) }, concernsPod},
	{"the selector does not match what is made", func(err error, _ string) bool { return errors.Is(err, errUnselected) }, concernsDaemon},
	{"admission changes labels that the selector asks for", func(err error, _ string) bool { return errors.Is(err, errRelabelled) }, concernsNode},
	{"no answer of an API server", func(err error, _ string) bool { return codeOf(err) == 0 }, concernsServer},
	{"a webhook or a policy denies (k8s.io/apiserver pkg/admission/plugin/webhook/errors, plugin/policy)", saying(`(admission webhook|ValidatingAdmissionPolicy|policy) ["']`), concernsNode},
	{"a webhook of somebody else cannot be called", func(err error, _ string) bool { return failedWebhook(err) }, concernsDaemon},
	{"the API server cannot do its work, or is overloaded", func(err error, _ string) bool { return codeOf(err) >= 500 || codeOf(err) == http.StatusTooManyRequests }, concernsServer},
	{"our token is not accepted, or what is asked for is not served", func(err error, _ string) bool {
		return codeOf(err) == http.StatusUnauthorized || codeOf(err) == http.StatusNotFound
	}, concernsServer},
	{"the namespace is being deleted", func(err error, _ string) bool { return terminates(err) }, concernsDaemon},
	{"the template makes no valid pod", func(err error, _ string) bool {
		return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
	}, concernsDaemon},
	{"our token has no permission", forbids(`User ".*" cannot `), concernsDaemon},
	{"a quota (pkg/admission/plugin/resourcequota)", forbids(`(exceeded quota|failed quota|status unknown for quota|insufficient quota)`), concernsDaemon},
	{"Pod Security (k8s.io/pod-security-admission)", forbids(`violates PodSecurity`), concernsDaemon},
	{"a LimitRange (plugin/pkg/admission/limitranger)", forbids(`\[?((maximum|minimum) \S+ usage per|\S+ max limit to request ratio per)`), concernsDaemon},
	{"the service account (plugin/pkg/admission/serviceaccount)", forbids(`(error looking up service account|no service account specified)`), concernsDaemon},
	{"the priority class (plugin/pkg/admission/priority)", forbids(`(no PriorityClass with name|the integer value of priority|the string value of PreemptionPolicy)`), concernsDaemon},
	{"the runtime class (plugin/pkg/admission/runtimeclass)", forbids(`(pod rejected: (RuntimeClass|Pod.*Overhead)|conflict: runtimeClass)`), concernsDaemon},
	{"the namespace's node selector (plugin/pkg/admission/podnodeselector)", forbids(`pod node label selector`), concernsDaemon},
	{"anything else", func(error, string) bool { return true }, concernsNode},
}

// concernOf is what an error of a create is about.
func concernOf(err error) concern { return rowOf(err).concerns }

func rowOf(err error) answerRow {
	text := textOf(err)
	for _, row := range answers {
		if row.matches(err, text) {
			return row
		}
	}
	return answers[len(answers)-1]
}

// noAnswer reports whether an error says nothing about the object that was sent: the API server was not
// reached, could not do its work, or asks to come back.
func noAnswer(err error) bool { return concernOf(err) == concernsServer }

// codeOf is the status code of an API server's answer, 0 when there is none.
func codeOf(err error) int32 {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0
	}
	return status.Status().Code
}

// textOf is the message of an answer, without what the API server puts before it. Names of pods have no
// quotes, so nothing that a user wrote can come first.
func textOf(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ""
	}
	return forbiddenPrefix.ReplaceAllString(status.Status().Message, "")
}

var forbiddenPrefix = regexp.MustCompile(`^[a-z.]+ "[^"]*" is forbidden: `)

func is[E error](err error, _ string) bool {
	var as E
	return errors.As(err, &as)
}

// saying matches the beginning of a text.
func saying(pattern string) func(error, string) bool {
	begins := regexp.MustCompile("^" + pattern)
	return func(_ error, text string) bool { return begins.MatchString(text) }
}

func forbids(pattern string) func(error, string) bool {
	says := saying(pattern)
	return func(err error, text string) bool { return apierrors.IsForbidden(err) && says(err, text) }
}
