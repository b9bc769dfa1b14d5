package controller

import "strings"

// remedies are what the API server, or Go's TLS in it, says of a webhook that it cannot ask, and what
// somebody can do about it. The first that is in a message counts.
var remedies = []struct{ says, remedy string }{
	{"certificate has expired or is not yet valid", "its certificate has expired, or a clock is wrong: have the certificate renewed, or renew it in its files"},
	{"certificate signed by unknown authority", "its certificate was signed by another CA than the webhook configuration's caBundle holds: let --webhook-certificates keep up the two, or put the right CA there"},
	{"certificate is not valid for any names", "its certificate names no host: have it made for the name that the API server calls"},
	{"certificate is valid for", "its certificate is for another name than the API server calls: see --webhook-certificate-names"},
	{"unable to load root certificates", "the webhook configuration's caBundle holds no certificate: let --webhook-certificates write it, or put the CA there"},
	{"remote error: tls: internal error", "it has no certificate: the Secret everynode-system/everynode-webhook-tls is missing or broken"},
	{"no endpoints available for service", "no everynode-webhook is ready: its /readyz and its log say why, as when its certificate's Secret is missing"},
}

// remedy says what to do when the API server cannot ask everynode-webhook and its message tells
// why. docs/certificates.md says more.
func remedy(message string) string {
	for _, known := range remedies {
		if strings.Contains(message, known.says) {
			return known.remedy + " (docs/certificates.md)"
		}
	}
	return ""
}

// unanswering is why everynode-webhook counts as away, with what to do first where that is known.
func unanswering(message string) string {
	if known := remedy(message); known != "" {
		return "the API server cannot ask everynode-webhook: " + known + ": " + message
	}
	return "everynode-webhook does not answer: " + message
}
