package webhook

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// answerLimit leaves a third of the three seconds that the API server waits (timeoutSeconds of the
	// configurations) for the network.
	answerLimit = 2 * time.Second
	// workLimit is the number of concurrent validations. A body counts one more for each workUnit, so that the
	// largest body runs alone.
	workLimit = 4
	workUnit  = 1 << 20
)

// answer is a hook's response to a request.
type answer struct {
	response *admissionv1.AdmissionResponse
	outcome  outcome
}

// workers bound work that cannot be interrupted at every point. The caller gets an answer in time; work that
// continues after that keeps its capacity until it ends, so that abandoned work never accumulates.
type workers struct {
	places *semaphore.Weighted
}

func newWorkers() *workers { return &workers{places: semaphore.NewWeighted(workLimit)} }

// do calls a hook within the time of ctx. done is called when the work has ended, which may be later.
func (w *workers) do(ctx context.Context, hook hook, asked *request, done func()) (answer, error) {
	weight := min(int64(1+(len(asked.Object)+len(asked.OldObject))/workUnit), workLimit)
	if err := w.places.Acquire(ctx, weight); err != nil {
		done()
		return answer{}, busyOr(ctx)
	}
	finished := make(chan answer, 1)
	go func() {
		defer done()
		defer w.places.Release(weight)
		finished <- recovered(ctx, hook, asked)
	}()
	select {
	case got := <-finished:
		return got, nil
	case <-ctx.Done():
		return overdue(), nil
	}
}

// recovered also answers when the hook panics, which would end the program outside of the server's own
// goroutines.
func recovered(ctx context.Context, hook hook, asked *request) (got answer) {
	defer func() {
		if reason := recover(); reason != nil {
			got = answer{refused(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid,
				fmt.Sprintf("validation failed on this object, which is a bug of everynode-webhook: please report it with the manifest (%v)", reason)), malformed}
		}
	}()
	response, outcome := hook.answer(ctx, asked)
	return answer{response, outcome}
}

// overdue refuses a request that was not evaluated in time. It is a denial, not an error: with failurePolicy
// Ignore the API server would store an object that was never validated.
func overdue() answer {
	return answer{refused(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests,
		fmt.Sprintf("validation did not finish within %v: try again, or make the lists of the pod template shorter", answerLimit)), late}
}

// limitOf returns how long the answer to a request may take. The API server sends its own timeout in the query
// (k8s.io/apiserver pkg/admission/plugin/webhook/mutating/dispatcher.go).
func limitOf(posted *http.Request) time.Duration {
	if waits, err := time.ParseDuration(posted.URL.Query().Get("timeout")); err == nil && waits > 0 {
		return min(answerLimit, waits*2/3)
	}
	return answerLimit
}
