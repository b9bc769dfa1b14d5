package simulation

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/test/faults/history"
)

// Outcome is what happens to a request of a controller.
type Outcome string

// The outcomes.
const (
	Served Outcome = "served"
	// CrashBefore and CrashAfter end the controller's process before the request reaches the API server, and after it was
	// executed.
	CrashBefore Outcome = "crash before"
	CrashAfter  Outcome = "crash after"
	// Unreachable: the request does not reach the API server. ReplyLost: it is executed, and the answer does not come back.
	Unreachable Outcome = "unreachable"
	ReplyLost   Outcome = "reply lost"
	// The others are answers to a request that is not executed.
	Conflict        Outcome = "409"
	TooManyRequests Outcome = "429"
	InternalError   Outcome = "500"
	Timeout         Outcome = "timeout"
)

// around executes a request of the process. Its task is suspended before and after, so that everything else may happen in
// between. A read of a DaemonSet's metadata is not interrupted, because the engine holds a lock during it; what happens before
// or after it can as well happen before the task begins or before its next request.
func (p *process) around(request *history.Request, serve func() error) error {
	t := p.cluster.running
	if daemonSet(request) && request.Verb == "get" {
		return p.serve(t, request, serve)
	}
	t.request = request
	if created := request.Verb == "create" && request.Resource == string(history.Pods) && !request.DryRun; created {
		t.creates = true
	} else if request.Verb == "get" {
		t.creates = false
	}
	t.suspend(beforeRequest)
	err := p.serve(t, request, serve)
	t.suspend(afterRequest)
	return err
}

func daemonSet(request *history.Request) bool {
	return request.Resource == string(history.DaemonSets) || request.Resource == string(history.NativeDaemonSets)
}

func (p *process) serve(t *task, request *history.Request, serve func() error) error {
	outcome := p.cluster.outcome(p, request)
	if outcome != Served {
		p.cluster.note("%s of %s %s/%s by %s: %s", request.Verb, request.Resource, request.Namespace, request.Name, p.controller.name, string(outcome))
	}
	switch outcome {
	case Served:
		return p.execute(t, request, serve)
	case ReplyLost:
		_ = p.execute(t, request, serve) // nobody learns it
		return errors.New("read tcp: connection reset by peer")
	case CrashAfter:
		_ = p.execute(t, request, serve) // nobody learns it
		p.crash(t)
	case CrashBefore:
		p.crash(t)
	case Unreachable, Conflict, TooManyRequests, InternalError, Timeout:
	}
	return refusal(outcome, request)
}

// crash ends the process within a request: it never returns.
func (p *process) crash(t *task) {
	p.dying = true
	t.suspend(crashes)
}

func (p *process) execute(t *task, request *history.Request, serve func() error) error {
	if request.Verb != "get" && !request.DryRun {
		p.cluster.journal.writes++
		request.View = t.knew.view(p.identity())
	}
	if p.cluster.tamper != nil {
		p.cluster.tamper(request)
	}
	return serve()
}

// refusal returns the answer of an outcome.
func refusal(outcome Outcome, request *history.Request) error {
	resource := schema.ParseGroupResource(request.Resource)
	switch outcome {
	case Conflict:
		return apierrors.NewConflict(resource, request.Name, errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	case TooManyRequests:
		return apierrors.NewTooManyRequests("the server has received too many requests", 1)
	case InternalError:
		return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	case Timeout:
		return apierrors.NewTimeoutError("request did not complete within the allotted timeout", 1)
	case Served, CrashBefore, CrashAfter, Unreachable, ReplyLost:
	}
	return fmt.Errorf("dial tcp: connection refused")
}
