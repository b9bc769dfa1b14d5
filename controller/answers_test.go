package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/everynode/everynode/internal/daemon"
)

func errForbidden(text string) error {
	return apierrors.NewForbidden(podsResource, "d-n1-0", errors.New(text))
}

// errDenied is what the API server makes of a denial by a policy or a webhook: any code and reason.
func errDenied(code int32, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: text}}
}

// Every row of the table is met by what API servers say, and nothing that a policy or a template quotes is taken for another row.
func TestAnswers(t *testing.T) {
	vap := `pods "d-n1-0" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: `
	tests := map[string]struct {
		err  error
		want concern
		row  string // begins so
	}{
		"connection refused":        {errors.New("connection refused"), concernsServer, "no answer"},
		"internal error":            {apierrors.NewInternalError(errors.New("etcd")), concernsServer, "the API server cannot"},
		"unavailable":               {apierrors.NewServiceUnavailable("x"), concernsServer, "the API server cannot"},
		"too many requests":         {apierrors.NewTooManyRequests("x", 1), concernsServer, "the API server cannot"},
		"unauthorized":              {apierrors.NewUnauthorized("x"), concernsServer, "our token is not"},
		"no such namespace":         {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), concernsServer, "our token is not"},
		"no permission":             {errForbidden(`User "system:serviceaccount:everynode-system:everynode-controller" cannot create resource "pods" in API group "" in the namespace "ns"`), concernsDaemon, "our token has"},
		"admission not effective":   {&notEffectiveError{errInterlock()}, concernsAdmission, "placement admission"},
		"contradicting pins":        {fmt.Errorf("x: %w", &daemon.ContradictoryPinError{}), concernsPod, "the template's pins"},
		"too large an affinity":     {fmt.Errorf("x: %w", &daemon.OversizedAffinityError{}), concernsPod, "the template's affinity"},
		"name taken":                {fmt.Errorf("x: %w", errNameTaken), concernsPod, "the name"},
		"former DaemonSet":          {fmt.Errorf("x: %w", errFormer), concernsPod, "the name"},
		"selector":                  {fmt.Errorf("x: %w", errUnselected), concernsDaemon, "the selector"},
		"changed labels":            {fmt.Errorf("x: %w", errRelabelled), concernsNode, "admission changes"},
		"changed labels, no answer": {fmt.Errorf("%w: deleting it: %w", errRelabelled, apierrors.NewServiceUnavailable("x")), concernsNode, "admission changes"},
		"policy, Invalid":           {errDenied(422, metav1.StatusReasonInvalid, vap+"not on n1"), concernsNode, "a webhook or a policy"},
		"policy, Forbidden":         {errDenied(403, metav1.StatusReasonForbidden, vap+"not on n1"), concernsNode, "a webhook or a policy"},
		"policy, TooLarge":          {errDenied(413, metav1.StatusReasonRequestEntityTooLarge, vap+"not on n1"), concernsNode, "a webhook or a policy"},
		"policy quotes a quota":     {errDenied(403, metav1.StatusReasonForbidden, vap+"exceeded quota: q, requested: pods=1"), concernsNode, "a webhook or a policy"},
		"mutating policy":           {errDenied(422, metav1.StatusReasonInvalid, `policy 'p' with binding 'b' denied request: no`), concernsNode, "a webhook or a policy"},
		"webhook, 403":              {errDenied(403, metav1.StatusReasonForbidden, `admission webhook "w.example.com" denied the request: not on n1`), concernsNode, "a webhook or a policy"},
		"webhook, 400":              {errDenied(400, metav1.StatusReasonBadRequest, `admission webhook "w.example.com" denied the request: not on n1`), concernsNode, "a webhook or a policy"},
		"webhook, 500":              {errDenied(500, "", `admission webhook "w.example.com" denied the request: internal error`), concernsNode, "a webhook or a policy"},
		"webhook quotes Security":   {errDenied(403, metav1.StatusReasonForbidden, `admission webhook "w.example.com" denied the request: pods "x" is forbidden: violates PodSecurity`), concernsNode, "a webhook or a policy"},
		"webhook cannot be called":  {apierrors.NewInternalError(errors.New(`failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno": connection refused`)), concernsDaemon, "a webhook of somebody else"},
		"namespace is deleted":      {errNamespaceTerminating(), concernsDaemon, "the namespace is"},
		"invalid":                   {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", field.ErrorList{field.Invalid(field.NewPath("spec"), "policy 'x'", "no")}), concernsDaemon, "the template makes"},
		"bad request":               {apierrors.NewBadRequest("x"), concernsDaemon, "the template makes"},
		"too large":                 {apierrors.NewRequestEntityTooLargeError("x"), concernsDaemon, "the template makes"},
		"quota":                     {errQuota(), concernsDaemon, "a quota"},
		"quota wants limits":        {errForbidden(`failed quota: q: must specify limits.cpu for: c`), concernsDaemon, "a quota"},
		"quota not known yet":       {errForbidden(`status unknown for quota: q, resources: pods`), concernsDaemon, "a quota"},
		"quota of a class":          {errForbidden(`insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]`), concernsDaemon, "a quota"},
		"Pod Security":              {errForbidden(`violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)`), concernsDaemon, "Pod Security"},
		"LimitRange":                {errForbidden(`maximum cpu usage per Container is 1, but limit is 2`), concernsDaemon, "a LimitRange"},
		"LimitRange, two":           {errForbidden(`[maximum cpu usage per Container is 1, but limit is 2, minimum memory usage per Pod is 1Gi.  No request is specified]`), concernsDaemon, "a LimitRange"},
		"LimitRange, ratio":         {errForbidden(`cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000`), concernsDaemon, "a LimitRange"},
		"service account":           {errForbidden(`error looking up service account ns/x: serviceaccount "x" not found`), concernsDaemon, "the service account"},
		"priority class":            {errForbidden(`no PriorityClass with name late was found`), concernsDaemon, "the priority class"},
		"runtime class":             {errForbidden(`pod rejected: RuntimeClass "x" not found`), concernsDaemon, "the runtime class"},
		"node selector":             {errForbidden(`pod node label selector conflicts with its namespace node label selector`), concernsDaemon, "the namespace's node"},
		"unknown":                   {errForbidden(`a plugin of this distribution says no`), concernsNode, "anything else"},
		"conflict":                  {apierrors.NewConflict(podsResource, "p", errors.New("x")), concernsNode, "anything else"},
		"unknown, and quotes a row": {errForbidden(`a plugin says no: exceeded quota: q,`), concernsNode, "anything else"},
	}
	met := map[string]bool{}
	for name, test := range tests {
		row := rowOf(fmt.Errorf("creating pod d-n1-0 for node n1: %w", test.err))
		met[row.name] = true
		if row.concerns != test.want || !strings.HasPrefix(row.name, test.row) {
			t.Errorf("%s: %q, which concerns the %s; want %q and the %s", name, row.name, row.concerns, test.row, test.want)
		}
		if got := noAnswer(test.err); got != (test.want == concernsServer) {
			t.Errorf("%s: noAnswer = %v", name, got)
		}
	}
	for _, row := range answers {
		if !met[row.name] {
			t.Errorf("no answer is tried that is for the row %q", row.name)
		}
	}
}
