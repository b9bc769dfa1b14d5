package answers

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/internal/daemon"
)

// Prefixes that API servers put before a reason (k8s.io/apimachinery pkg/api/errors NewForbidden, NewInvalid,
// NewInternalError), besides forbiddenPrefix.
var invalidPrefix = regexp.MustCompile(`^[A-Za-z.]+ "[^"]*" is invalid: `)

// Prefixes by which admission identifies itself before a reason: a webhook (k8s.io/apiserver
// pkg/admission/plugin/webhook/errors), a policy (pkg/admission/plugin/policy), and a webhook that cannot be
// called.
var answerers = []*regexp.Regexp{
	regexp.MustCompile(`^(admission webhook "[^"]*" denied the request): `),
	regexp.MustCompile(`^((?:ValidatingAdmissionPolicy|policy) ['"][^'"]*['"](?: with binding ['"][^'"]*['"])? denied request): `),
	regexp.MustCompile(`^(failed calling webhook "[^"]*"): (?:failed to call webhook: )?(?:Post "[^"]*": )?`),
}

// Limits of a reason, and of the name of the component that answered: names of objects have up to 253
// characters.
const (
	reasonLimit   = 1200
	answererLimit = 600
)

// Problem converts an error for a condition and an event.
func Problem(err error) daemon.Problem {
	row := Of(Create, err)
	reason := cmp.Or(row.Reason, ReasonFailed)
	var failure *Failure
	if row.Reason == "" && errors.As(err, &failure) {
		reason = failure.Reason
	}
	return daemon.NewProblem(reason, Explain(err), namesIn(err)...)
}

// Explain returns an error for users: its cause, and what they can do.
func Explain(err error) string {
	cause := causeOf(err)
	if remedy := Of(Create, err).Remedy; remedy != "" {
		return cause + ": " + remedy
	}
	return cause
}

// causeOf returns the text of an error with the reason first: the API server's, without the pod's name, because
// a condition lists the nodes and an event the pods; the admission component that answered comes last. The log
// has the whole error.
func causeOf(err error) string {
	text := forbiddenPrefix.ReplaceAllString(answerOf(err), "")
	text = invalidPrefix.ReplaceAllString(text, "invalid: ")
	text = strings.TrimPrefix(text, "Internal error occurred: ")
	for _, answerer := range answerers {
		match := answerer.FindStringSubmatch(text)
		if match == nil {
			continue
		}
		if reason := text[len(match[0]):]; reason != "" {
			return daemon.Shorten(reason, reasonLimit) + " (" + daemon.Shorten(match[1], answererLimit) + ")"
		}
	}
	return text
}

// answerOf returns the part of an error with the reason.
func answerOf(err error) string {
	var (
		absent      *NotEffectiveError
		status      apierrors.APIStatus
		unreachable *url.Error
		pod         *PodError
	)
	switch {
	case errors.As(err, &absent):
		return absent.Error()
	case errors.As(err, &status):
		return status.Status().Message
	case errors.As(err, &unreachable):
		return "no answer from the API server: " + unreachable.Err.Error()
	case errors.As(err, &pod):
		return pod.Err.Error()
	}
	return err.Error()
}

// namesIn returns the names in an error that differ between the pods of a daemon.
func namesIn(err error) []string {
	var pod *PodError
	if !errors.As(err, &pod) {
		return nil
	}
	return []string{pod.Pod, pod.Node}
}
