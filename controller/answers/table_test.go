package answers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/everynode/everynode/internal/daemon"
)

var pods = schema.GroupResource{Resource: "pods"}

// errInterlock is the answer of ValidatePodCreate to a pod with both nodeName and a gate.
func errInterlock() error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{
		field.Forbidden(field.NewPath("spec", "nodeName"), "cannot be set until all schedulingGates have been cleared"),
	})
}

func errWebhookFails() error {
	return apierrors.NewInternalError(errors.New(`failed calling webhook "owned.placement.everynode.dev": failed to call webhook: Post "https://everynode-webhook": connection refused`))
}

func errQuota() error {
	return errForbidden("exceeded quota: pods, requested: pods=1, used: pods=5, limited: pods=5")
}

func errNamespaceTerminating() error {
	err := apierrors.NewForbidden(pods, "p", errors.New("namespace is being terminated"))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	return err
}

func errForbidden(text string) error {
	return apierrors.NewForbidden(pods, "d-n1-0", errors.New(text))
}

// errDenied is the API server's answer to a denial by a policy or a webhook, with any code and reason.
func errDenied(code int32, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: text}}
}

// Every row of the table matches real answers of API servers, and text that a policy or a template quotes does not select another row.
func TestAnswers(t *testing.T) {
	vap := `pods "d-n1-0" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: `
	tests := map[string]struct {
		err  error
		want Concern
		row  string // its beginning
	}{
		"connection refused":        {errors.New("connection refused"), Server, "no answer"},
		"internal error":            {apierrors.NewInternalError(errors.New("etcd")), Server, "the API server fails"},
		"unavailable":               {apierrors.NewServiceUnavailable("x"), Server, "the API server fails"},
		"too many requests":         {apierrors.NewTooManyRequests("x", 1), Server, "the API server is overloaded"},
		"unauthorized":              {apierrors.NewUnauthorized("x"), Server, "our token is not"},
		"no such namespace":         {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), Daemon, "the namespace is gone"},
		"no such pod, when read":    {apierrors.NewNotFound(pods, "p"), Server, "an object that was read"},
		"no such resource":          {apierrors.NewGenericServerResponse(404, "create", pods, "", "", 0, true), Server, "the resource is not served"},
		"held back":                 {&HeldBackError{time.Second, errQuota()}, Nothing, "the request was held back"},
		"there already":             {apierrors.NewAlreadyExists(pods, "p"), Nothing, "the object to create"},
		"interlock":                 {errInterlock(), Admission, "no admission rewrote"},
		"our webhook fails":         {errWebhookFails(), Admission, "our webhook cannot"},
		"our policy fails":          {errDenied(403, metav1.StatusReasonInvalid, `policy 'everynode-placement' with binding 'b' denied request: no such path`), Admission, "our policy cannot"},
		"method not supported":      {apierrors.NewMethodNotSupported(pods, "create"), Node, "anything else"},
		"no permission":             {errForbidden(`User "system:serviceaccount:everynode-system:everynode-controller" cannot create resource "pods" in API group "" in the namespace "ns"`), Daemon, "our token has"},
		"admission not effective":   {&NotEffectiveError{errInterlock()}, Admission, "only admission places"},
		"contradicting pins":        {fmt.Errorf("x: %w", &daemon.ContradictoryPinError{}), Pod, "the template's pins"},
		"too large an affinity":     {fmt.Errorf("x: %w", &daemon.OversizedAffinityError{}), Pod, "the template's affinity"},
		"name taken":                {fmt.Errorf("x: %w", ErrNameTaken), Pod, "the name"},
		"former DaemonSet":          {fmt.Errorf("x: %w", ErrFormer), Pod, "the name"},
		"selector":                  {fmt.Errorf("x: %w", ErrUnselected), Daemon, "the selector"},
		"changed labels":            {fmt.Errorf("x: %w", ErrRelabelled), Node, "admission changes"},
		"changed labels, no answer": {fmt.Errorf("%w: deleting it: %w", ErrRelabelled, apierrors.NewServiceUnavailable("x")), Node, "admission changes"},
		"policy, Invalid":           {errDenied(422, metav1.StatusReasonInvalid, vap+"not on n1"), Node, "a webhook or a policy"},
		"policy, Forbidden":         {errDenied(403, metav1.StatusReasonForbidden, vap+"not on n1"), Node, "a webhook or a policy"},
		"policy, TooLarge":          {errDenied(413, metav1.StatusReasonRequestEntityTooLarge, vap+"not on n1"), Node, "a webhook or a policy"},
		"policy quotes a quota":     {errDenied(403, metav1.StatusReasonForbidden, vap+"exceeded quota: q, requested: pods=1"), Node, "a webhook or a policy"},
		"mutating policy":           {errDenied(422, metav1.StatusReasonInvalid, `policy 'p' with binding 'b' denied request: no`), Node, "a webhook or a policy"},
		"webhook, 403":              {errDenied(403, metav1.StatusReasonForbidden, `admission webhook "w.example.com" denied the request: not on n1`), Node, "a webhook or a policy"},
		"webhook, 400":              {errDenied(400, metav1.StatusReasonBadRequest, `admission webhook "w.example.com" denied the request: not on n1`), Node, "a webhook or a policy"},
		"webhook, 500":              {errDenied(500, "", `admission webhook "w.example.com" denied the request: internal error`), Node, "a webhook or a policy"},
		"webhook quotes Security":   {errDenied(403, metav1.StatusReasonForbidden, `admission webhook "w.example.com" denied the request: pods "x" is forbidden: violates PodSecurity`), Node, "a webhook or a policy"},
		"webhook cannot be called":  {apierrors.NewInternalError(errors.New(`failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno": connection refused`)), Daemon, "another webhook cannot"},
		"namespace is deleted":      {errNamespaceTerminating(), Daemon, "the namespace is"},
		"invalid":                   {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{field.Invalid(field.NewPath("spec"), "policy 'x'", "no")}), Daemon, "the template gives"},
		"bad request":               {apierrors.NewBadRequest("x"), Daemon, "the request is malformed"},
		"too large":                 {apierrors.NewRequestEntityTooLargeError("x"), Daemon, "the request is malformed"},
		"quota":                     {errQuota(), Daemon, "a quota"},
		"quota wants limits":        {errForbidden(`failed quota: q: must specify limits.cpu for: c`), Daemon, "a quota"},
		"quota not known yet":       {errForbidden(`status unknown for quota: q, resources: pods`), Daemon, "a quota"},
		"quota of a class":          {errForbidden(`insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]`), Daemon, "a quota"},
		"Pod Security":              {errForbidden(`violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)`), Daemon, "Pod Security"},
		"LimitRange":                {errForbidden(`maximum cpu usage per Container is 1, but limit is 2`), Daemon, "a LimitRange"},
		"LimitRange, two":           {errForbidden(`[maximum cpu usage per Container is 1, but limit is 2, minimum memory usage per Pod is 1Gi.  No request is specified]`), Daemon, "a LimitRange"},
		"LimitRange, ratio":         {errForbidden(`cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000`), Daemon, "a LimitRange"},
		"service account":           {errForbidden(`error looking up service account ns/x: serviceaccount "x" not found`), Daemon, "the service account"},
		"priority class":            {errForbidden(`no PriorityClass with name late was found`), Daemon, "the priority class"},
		"runtime class":             {errForbidden(`pod rejected: RuntimeClass "x" not found`), Daemon, "the runtime class"},
		"node selector":             {errForbidden(`pod node label selector conflicts with its namespace node label selector`), Daemon, "the namespace's node"},
		"unknown":                   {errForbidden(`a plugin of this distribution refuses it`), Node, "anything else"},
		"conflict":                  {apierrors.NewConflict(pods, "p", errors.New("x")), Node, "anything else"},
		"unknown, and quotes a row": {errForbidden(`a plugin refuses it: exceeded quota: q,`), Node, "anything else"},
	}
	met := map[string]bool{}
	for name, test := range tests {
		for _, err := range []error{test.err, fmt.Errorf("creating pod d-n1-0 for node n1: %w", test.err)} {
			row := Of(Create, err)
			met[row.Name] = true
			if row.Concerns != test.want || !strings.HasPrefix(row.Name, test.row) {
				t.Errorf("%s: %q, which concerns the %s; want %q and the %s", name, row.Name, row.Concerns, test.row, test.want)
			}
			if got := NoAnswer(err); got != (test.want == Server) {
				t.Errorf("%s: NoAnswer = %v", name, got)
			}
		}
	}
	for _, row := range rows {
		if row.only == nil || slices.Contains(row.only, Create) {
			if !met[row.Name] {
				t.Errorf("no case matches the row %q", row.Name)
			}
		}
	}
}

// Answers to a delete or a patch: if the object is gone or was changed by another client first, there is
// nothing to repeat; any other answer is as for a create.
func TestAnswersToAChange(t *testing.T) {
	invalid := func(path string) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{field.Invalid(field.NewPath("metadata", path), "x", "no")})
	}
	tests := map[string]struct {
		err  error
		want Concern
	}{
		"gone":                     {apierrors.NewNotFound(pods, "p"), Nothing},
		"another UID":              {apierrors.NewConflict(pods, "p", errors.New("the UID in the precondition does not match")), Nothing},
		"a patch of another pod":   {invalid("uid"), Nothing},
		"two controllers":          {invalid("ownerReferences"), Nothing},
		"an invalid patch":         {invalid("labels"), Daemon},
		"there already":            {apierrors.NewAlreadyExists(pods, "p"), Node},
		"no permission":            {errForbidden(`User "u" cannot delete resource "pods"`), Daemon},
		"no answer":                {errors.New("connection refused"), Server},
		"a webhook denies":         {errDenied(403, metav1.StatusReasonForbidden, `admission webhook "w" denied the request: no`), Node},
		"our token is not valid":   {apierrors.NewUnauthorized("x"), Server},
		"the API server is loaded": {apierrors.NewTooManyRequests("x", 1), Server},
	}
	met := map[string]bool{}
	for name, test := range tests {
		row := Of(Change, test.err)
		met[row.Name] = true
		if row.Concerns != test.want {
			t.Errorf("%s: %q, which concerns %s; want %s", name, row.Name, row.Concerns, test.want)
		}
	}
	for _, row := range rows {
		if slices.Contains(row.only, Change) && !met[row.Name] {
			t.Errorf("no case matches the row %q", row.Name)
		}
	}
}

// Every answer of the API server has a remedy; the controller's own failures have it in their text.
func TestRemedies(t *testing.T) {
	for _, row := range rows {
		own := strings.HasPrefix(row.Name, "the request was held") || row.Concerns == Admission || row.Concerns == Pod || row.Reason == ReasonUnselected
		if row.Concerns != Nothing && (row.Remedy == "") != own {
			t.Errorf("the remedy of %q is %q", row.Name, row.Remedy)
		}
		if row.matches == nil || row.Name == "" {
			t.Errorf("the row %+v is not complete", row)
		}
	}
}

// The message and the reason for users.
func TestExplain(t *testing.T) {
	tests := map[string]struct {
		err            error
		reason, begins string
		ends           string
		namespace      bool
	}{
		"a quota":           {err: errQuota(), reason: ReasonFailed, begins: "exceeded quota: pods", ends: "what it requires"},
		"unauthorized":      {err: apierrors.NewUnauthorized("Unauthorized"), reason: ReasonUnauthorized, begins: "Unauthorized: the API server does not accept", ends: "and the clocks"},
		"no namespace":      {err: apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), reason: ReasonNoNamespace, begins: `namespaces "ns" not found: `, ends: "in another one", namespace: true},
		"not served":        {err: apierrors.NewGenericServerResponse(404, "create", pods, "", "", 0, true), reason: ReasonNotServed, begins: "the server could not find the requested resource", ends: "CustomResourceDefinitions"},
		"namespace deleted": {err: errNamespaceTerminating(), reason: ReasonTerminating, begins: "namespace is being terminated", ends: "what it waits for", namespace: true},
		"name taken":        {err: fmt.Errorf("pod p: %w: delete or rename it", ErrNameTaken), reason: ReasonNameTaken, begins: "pod p: the name is taken", ends: "delete or rename it"},
		"a delete":          {err: &Failure{"FailedDelete", errQuota()}, reason: "FailedDelete", begins: "exceeded quota", ends: "what it requires"},
		"a delete, 401":     {err: &Failure{"FailedDelete", apierrors.NewUnauthorized("Unauthorized")}, reason: ReasonUnauthorized, begins: "Unauthorized", ends: "and the clocks"},
	}
	for name, test := range tests {
		problem := Problem(test.err)
		if problem.Reason != test.reason || !strings.HasPrefix(problem.Message, test.begins) || !strings.HasSuffix(problem.Message, test.ends) {
			t.Errorf("%s: %s %q, want %s and %q … %q", name, problem.Reason, problem.Message, test.reason, test.begins, test.ends)
		}
		if got := Of(Create, test.err).AboutNamespace; got != test.namespace {
			t.Errorf("%s: about the namespace: %v", name, got)
		}
	}
}

// Back-off by what an answer concerns (S8).
func TestBackOff(t *testing.T) {
	for concern, want := range map[Concern]BackOff{
		Nothing: {}, Server: {"cell", 100 * time.Millisecond, 10 * time.Second},
		Pod: {"cell", time.Second, 15 * time.Minute}, Node: {"cell", time.Second, 15 * time.Minute},
		Admission: {"cell", time.Second, 15 * time.Minute}, Daemon: {"daemon", time.Second, 15 * time.Minute},
	} {
		if got := concern.BackOff(); got != want {
			t.Errorf("%s: %+v, want %+v", concern, got, want)
		}
	}
}

// Only requests that may have been executed count.
func TestMayBeDone(t *testing.T) {
	tests := map[string]struct {
		err  error
		want bool
	}{
		"no answer":         {errors.New("connection reset by peer"), true},
		"a timeout":         {apierrors.NewTimeoutError("x", 1), true},
		"an internal error": {apierrors.NewInternalError(errors.New("etcd")), true},
		"too many requests": {apierrors.NewTooManyRequests("x", 1), false},
		"unauthorized":      {apierrors.NewUnauthorized("x"), false},
		"a refusal":         {errQuota(), false},
		"never sent":        {&HeldBackError{0, errQuota()}, false},
		"no failure":        {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.err != nil && MayBeDone(test.err); got != test.want {
				t.Errorf("MayBeDone(%v) = %v, want %v", test.err, got, test.want)
			}
		})
	}
}
