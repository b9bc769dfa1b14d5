package answers

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The messages are those of a real API server; test/certs provokes them.
func TestCertificateRemedyComesFirst(t *testing.T) {
	const failed = `Internal error occurred: failed calling webhook "owned.placement.everynode.dev": failed to call webhook: Post "https://127.0.0.1:1/mutate-pods?timeout=3s": `
	tests := map[string]struct{ message, want string }{
		"expired":       {"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T19:53:57Z is after 2026-11-24T19:00:00Z", "its certificate has expired"},
		"another CA":    {"tls: failed to verify certificate: x509: certificate signed by unknown authority", "signed by another CA"},
		"another name":  {"tls: failed to verify certificate: x509: certificate is valid for a.example.com, not everynode-webhook.everynode-system.svc", "for another name"},
		"none":          {"remote error: tls: internal error", "it has no certificate"},
		"none is ready": {`no endpoints available for service "everynode-webhook"`, "no everynode-webhook is ready"},
		"down":          {"dial tcp 127.0.0.1:1: connect: connection refused", "everynode-webhook does not answer"},
		"slow":          {"context deadline exceeded", "everynode-webhook does not answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := unanswering(failed + test.message)
			if !strings.Contains(got, test.want) || !strings.HasSuffix(got, test.message) {
				t.Errorf("got %q, want it to begin with %q and to end with the API server's message", got, test.want)
			}
			first, _, _ := strings.Cut(got, failed)
			if !strings.Contains(first, test.want) {
				t.Errorf("got %q, want %q before the API server's message", got, test.want)
			}
		})
	}
}

func TestNotEffective(t *testing.T) {
	pods := schema.GroupKind{Kind: "Pod"}
	invalid := func(errs ...*field.Error) error { return apierrors.NewInvalid(pods, "p", errs) }
	nodeName, image := field.NewPath("spec", "nodeName"), field.NewPath("spec", "containers").Index(0).Child("image")
	interlock := field.Forbidden(nodeName, "cannot be set until all schedulingGates have been cleared")
	tests := map[string]struct {
		err  error
		want string // a part; "" if admission is effective
	}{
		"success":                          {},
		"interlock":                        {err: invalid(interlock), want: "no admission rewrote"},
		"interlock among other errors":     {err: invalid(field.Required(image, ""), interlock), want: "no admission rewrote"},
		"invalid in another field":         {err: invalid(field.Required(image, ""))},
		"invalid nodeName":                 {err: invalid(field.Invalid(nodeName, "N!", "must be a name"))},
		"gates elsewhere":                  {err: invalid(field.Forbidden(field.NewPath("spec", "schedulingGates"), "schedulingGates must be unique"))},
		"our webhook fails":                {err: errWebhookFails(), want: "connection refused"},
		"another's webhook fails":          {err: apierrors.NewInternalError(errors.New(`failed calling webhook "istio.example.com": connection refused`))},
		"our webhook refuses":              {err: apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(`admission webhook "owned.placement.everynode.dev" denied the request`))},
		"our policy fails":                 {err: errOfPolicy("policy 'everynode-placement' with binding 'everynode-placement' denied request: JSON Patch: no such path"), want: "no such path"},
		"our other policy fails":           {err: errOfPolicy("policy 'everynode-placement-namespaces' with binding 'b' denied request: it costs too much"), want: "it costs too much"},
		"our policy, with a wrong binding": {err: errOfPolicy(`policy "everynode-placement" denied request: failed to configure policy: x`), want: "failed to configure"},
		"another's policy fails":           {err: errOfPolicy("policy 'example' with binding 'everynode-placement' denied request: x")},
		"our policy refuses":               {err: errOfPolicy("ValidatingAdmissionPolicy 'everynode-placement' with binding 'everynode-placement' denied request: x")},
		"internal error":                   {err: apierrors.NewInternalError(errors.New("etcd"))},
		"not from the API server":          {err: errors.New("failed calling webhook placement.everynode.dev")},
		"already there":                    {err: apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, "p")},
		"invalid, without causes":          {err: &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Code: 422}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := NotEffective(test.err)
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("notEffective = %q, want %q in it", got, test.want)
			}
		})
	}
}

// errOfPolicy returns the API server's refusal by a policy: the code of one reason and the name
// of another.
func errOfPolicy(message string) error {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New("admission request denied by policy"))
	err.ErrStatus.Message, err.ErrStatus.Reason = message, metav1.StatusReasonInvalid
	return err
}
