package answers

import (
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WebhookSuffix is in the name of every webhook of ours (templates/webhook of the chart), and PolicyPrefix
// begins the name of every policy of ours that places pods (templates/policy).
const (
	WebhookSuffix = "placement.everynode.dev"
	PolicyPrefix  = "everynode-placement"
)

// NotAsked is the reason why an emitted pod reached the interlock.
const NotAsked = "no admission rewrote the pod: the API server has no webhook configuration and no policy for it, or these do not apply"

// NotEffective returns why admission did not rewrite an emitted pod according to an error; empty if the error
// means something else.
func NotEffective(err error) string {
	row := Of(Create, err)
	if row.absence == nil {
		return ""
	}
	return row.absence(read(err).status.Message)
}

// FailedWebhook reports whether the API server could not call a webhook; its message names the webhook.
func FailedWebhook(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}

// CameThrough reports whether the answer to an emitted pod is one that the API server only gives once the pod
// was rewritten. In k8s.io/apiserver pkg/registry/generic/registry Store.Create, validation, which includes the
// interlock, runs before validating admission, and a taken name is found last. Quotas and Pod Security only
// validate (pkg/admission/plugin/resourcequota, k8s.io/kubernetes plugin/pkg/admission/security/podsecurity),
// as do policies whose refusals are invalid. Any other refusal may come from before.
func CameThrough(err error) bool {
	return err == nil || apierrors.IsInvalid(err) && NotEffective(err) == "" || Of(Create, err).placed
}

func interlocked(a answer) bool {
	return apierrors.IsInvalid(a.err) && a.status.Details != nil && slices.ContainsFunc(a.status.Details.Causes, func(cause metav1.StatusCause) bool {
		return cause.Field == "spec.nodeName" && strings.Contains(cause.Message, "schedulingGates")
	})
}

func failedPolicy(a answer) bool {
	return strings.HasPrefix(a.status.Message, "policy '"+PolicyPrefix) || strings.HasPrefix(a.status.Message, `policy "`+PolicyPrefix)
}

// remedies are messages of the API server, or of Go's TLS in it, about a webhook that it cannot call, and what
// a user can do. The first match counts.
var remedies = []struct{ text, remedy string }{
	{"certificate has expired or is not yet valid", "its certificate has expired, or a clock is wrong: find out why it was not renewed, or renew it in its files"},
	{"certificate signed by unknown authority", "its certificate was signed by another CA than the webhook configuration's caBundle holds: let --webhook-certificates maintain both, or put the right CA there"},
	{"certificate is not valid for any names", "its certificate names no host: issue it for the name that the API server calls"},
	{"certificate is valid for", "its certificate is for another name than the API server calls: see --webhook-certificate-names"},
	{"unable to load root certificates", "the webhook configuration's caBundle holds no certificate: let --webhook-certificates write it, or put the CA there"},
	{"remote error: tls: internal error", "it has no certificate: the Secret everynode-system/everynode-webhook-tls is missing or broken"},
	{"no endpoints available for service", "no everynode-webhook is ready: its /readyz and its log have the reason, such as a missing Secret of its certificate"},
}

// Remedy returns what to do when the API server cannot call everynode-webhook, if its message shows that. It is
// the same for messages that differ only in the time. docs/certificates.md has more.
func Remedy(message string) string {
	for _, known := range remedies {
		if strings.Contains(message, known.text) {
			return known.remedy + " (docs/certificates.md)"
		}
	}
	return ""
}

// unanswering returns why everynode-webhook counts as unreachable, with the first remedy if it is known.
func unanswering(message string) string {
	if known := Remedy(message); known != "" {
		return "the API server cannot call everynode-webhook: " + known + ": " + message
	}
	return "everynode-webhook does not answer: " + message
}
