package controller

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/everynode/everynode/internal/daemon"
)

// podError is the failure to do something about a pod. A condition groups nodes by the answer, and so
// has to know which names in it are the pod's own.
type podError struct {
	doing, pod, node string
	err              error
}

func (e *podError) Error() string {
	return fmt.Sprintf("%s pod %s for node %s: %v", e.doing, e.pod, e.node, e.err)
}

func (e *podError) Unwrap() error { return e.err }

// What API servers put before a reason (k8s.io/apimachinery pkg/api/errors NewForbidden, NewInvalid,
// NewInternalError), beside forbiddenPrefix.
var invalidPrefix = regexp.MustCompile(`^[A-Za-z.]+ "[^"]*" is invalid: `)

// What admission puts before a reason, to say who it is: a webhook
// (k8s.io/apiserver pkg/admission/plugin/webhook/errors), a policy (pkg/admission/plugin/policy), and a
// webhook that cannot be asked.
var answerers = []*regexp.Regexp{
	regexp.MustCompile(`^(admission webhook "[^"]*" denied the request): `),
	regexp.MustCompile(`^((?:ValidatingAdmissionPolicy|policy) ['"][^'"]*['"](?: with binding ['"][^'"]*['"])? denied request): `),
	regexp.MustCompile(`^(failed calling webhook "[^"]*"): (?:failed to call webhook: )?(?:Post "[^"]*": )?`),
}

// How much is kept of a reason, and of who answered: names of objects have up to 253 characters.
const (
	reasonLimit   = 1200
	answererLimit = 600
)

// causeOf is what an error comes down to, the reason first. It is what the API server says, without the
// pod's name before it, for a condition names the nodes and an event the pods beside it; who in admission
// answered comes last. The log has the whole error.
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

// answerOf is the part of an error that says why.
func answerOf(err error) string {
	var (
		absent      *notEffectiveError
		status      apierrors.APIStatus
		unreachable *url.Error
		pod         *podError
	)
	switch {
	case errors.As(err, &absent):
		return absent.Error()
	case errors.As(err, &status):
		return status.Status().Message
	case errors.As(err, &unreachable):
		return "no answer from the API server: " + unreachable.Err.Error()
	case errors.As(err, &pod):
		return pod.err.Error()
	}
	return err.Error()
}

// namesIn are the names in an error that differ between the pods of a daemon.
func namesIn(err error) []string {
	var pod *podError
	if !errors.As(err, &pod) {
		return nil
	}
	return []string{pod.pod, pod.node}
}
