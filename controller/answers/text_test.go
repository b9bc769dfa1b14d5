package answers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/everynode/everynode/internal/daemon"
)

// The longest possible names: of a pod of the controller, of a node, of a webhook or a policy.
var (
	longPod  = strings.Repeat("p", 63)
	longNode = strings.Repeat("n", 253)
	longName = strings.Repeat("w", 253)
)

func errDeniedBy(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 403, Reason: metav1.StatusReasonForbidden,
		Message: fmt.Sprintf("admission webhook %q denied the request: %s", longName, message)}}
}

func errForbids(message string) error {
	return apierrors.NewForbidden(pods, longPod, errors.New(message))
}

// restricted is the message of Pod Security for a pod with many containers
// (k8s.io/pod-security-admission policy).
func restricted(containers int) string {
	names := make([]string, containers)
	for i := range names {
		names[i] = fmt.Sprintf(`"%s-%d"`, strings.Repeat("c", 60), i)
	}
	all := strings.Join(names, ", ")
	return fmt.Sprintf(`violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (containers %[1]s must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers %[1]s must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers %[1]s must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers %[1]s must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`, all)
}

// The longest refusals that clusters give: a condition begins with the reason, and names a node.
func TestDegradedBeginsWithTheReason(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string // the first words
		also string // anywhere
	}{
		"a quota": {
			err:  errForbids("exceeded quota: " + longName + ", requested: limits.cpu=1,limits.memory=1Gi,pods=1, used: limits.cpu=5,limits.memory=5Gi,pods=5, limited: limits.cpu=5,limits.memory=5Gi,pods=5"),
			want: "exceeded quota: w", also: "limited: limits.cpu=5",
		},
		"Pod Security":                         {err: errForbids(restricted(1)), want: `violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`, also: "seccompProfile"},
		"Pod Security, forty containers":       {err: errForbids(restricted(40)), want: `violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`, also: `"RuntimeDefault"`},
		"a validating policy":                  {err: errForbids(fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: images come from example.com", longName, longName)), want: "images come from example.com (ValidatingAdmissionPolicy 'w"},
		"a mutating policy":                    {err: errForbids(fmt.Sprintf("policy '%s' with binding '%s' denied request: expression failed", longName, longName)), want: "expression failed (policy 'w"},
		"a policy without binding":             {err: errForbids(fmt.Sprintf("policy %q denied request: no", longName)), want: "no (policy"},
		"a webhook":                            {err: errDeniedBy("images come from example.com"), want: `images come from example.com (admission webhook "w`},
		"a webhook with a long message":        {err: errDeniedBy("images come from example.com" + strings.Repeat("; read the rules", 1<<17)), want: `images come from example.com; read`, also: `(admission webhook "w`},
		"a webhook without an explanation":     {err: &apierrors.StatusError{ErrStatus: metav1.Status{Message: fmt.Sprintf("admission webhook %q denied the request without explanation", "w")}}, want: `admission webhook "w" denied the request without explanation`},
		"a webhook that cannot be called":      {err: apierrors.NewInternalError(fmt.Errorf("failed calling webhook %q: failed to call webhook: Post \"https://hook.%s.svc:443/validate?timeout=10s\": dial tcp 10.0.0.1:443: connect: connection refused", longName, longName[:63])), want: "dial tcp 10.0.0.1:443: connect: connection refused (failed calling webhook"},
		"an invalid pod":                       {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, longPod, field.ErrorList{field.Invalid(field.NewPath("spec", "tolerations").Index(0).Child("operator"), "x", "bad")}), want: `invalid: spec.tolerations[0].operator`},
		"an API server that is unreachable":    {err: &url.Error{Op: "Post", URL: "https://" + longName + "/api/v1/namespaces/" + longName[:63] + "/pods", Err: context.DeadlineExceeded}, want: "no answer from the API server: context deadline exceeded"},
		"only admission, which does not exist": {err: &NotEffectiveError{errInterlock()}, want: "placement admission is not effective"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problem := Problem(&PodError{"creating", longPod, longNode, test.err})
			health := daemon.Health{Problems: map[string]daemon.Problem{longNode: problem}}
			message := health.Conditions()[2].Message
			if !strings.HasPrefix(message, test.want) || !strings.Contains(message, test.also) || !strings.HasSuffix(message, "(1 node: "+longNode+")") {
				t.Errorf("Degraded: %s\nwant it to begin with %q, with %q in it and the node at the end", message, test.want, test.also)
			}
			if strings.Contains(message, longPod) {
				t.Errorf("Degraded: %s\nnames the pod, which hides the reason", message)
			}
		})
	}
}

// The cause is the same, whichever pod of the daemon was refused.
func TestProblemsOfOneCause(t *testing.T) {
	of := func(pod, node string) daemon.Problem {
		return Problem(&PodError{"creating", pod, node, apierrors.NewForbidden(pods, pod, fmt.Errorf("pod %s may not be on %s", pod, node))})
	}
	if a, b := of("d-n1-x", "n1"), of("d-n2-y", "n2"); a.Cause != b.Cause || a.Message == b.Message {
		t.Errorf("%+v and %+v have different causes", a, b)
	}
}
