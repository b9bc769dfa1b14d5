package simulation

import (
	"context"
	"iter"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/everynode/everynode/test/faults/history"
)

// task is work of the engine that is under way: a coroutine that the loop resumes, and that suspends itself before and
// after each request. A task that is stopped never returns from where it is suspended, as in a process that is killed.
type task struct {
	name   string
	resume func() (suspension, bool)
	stop   func()
	yield  func(suspension) bool

	at      suspension
	request *history.Request // the one at which it is suspended
	creates bool             // it may hold a turn of the engine's throttle of creates
	knew    knowledge
}

// suspension is why a task is suspended.
type suspension int

const (
	beforeRequest suspension = iota
	afterRequest
	// waitsForTurn: it waits until the engine's throttle of creates has room, or is about to.
	waitsForTurn
	// crashes: the process does not survive the request.
	crashes
)

// killed is the panic that unwinds a task that is stopped.
type killed struct{}

// newTask returns a task that has not begun.
func newTask(name string, work func(context.Context)) *task {
	t := &task{name: name}
	ctx := log.IntoContext(context.Background(), logr.Discard())
	t.resume, t.stop = iter.Pull(func(yield func(suspension) bool) {
		defer func() {
			if cause := recover(); cause != nil {
				if _, ok := cause.(killed); !ok {
					panic(cause)
				}
			}
		}()
		t.yield = yield
		work(turnContext{ctx, t})
	})
	return t
}

func (t *task) suspend(why suspension) {
	if !t.yield(why) {
		panic(killed{})
	}
}

// turnContext suspends its task when the engine is about to wait: package pace calls Done only if a create has no turn. The loop
// resumes the task when it has one. It is never done. A call for another reason suspends the task too, which is harmless.
type turnContext struct {
	context.Context
	task *task
}

// Done implements context.Context.
func (c turnContext) Done() <-chan struct{} {
	c.task.suspend(waitsForTurn)
	return nil
}
