package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
)

// stubborn is a hook that works until it is released, even when its caller has given up, and counts.
type stubborn struct {
	begun, running, most atomic.Int64
	release              chan struct{}
}

func newStubborn() *stubborn { return &stubborn{release: make(chan struct{})} }

func (s *stubborn) answer(context.Context, *request) (*admissionv1.AdmissionResponse, outcome) {
	s.begun.Add(1)
	now := s.running.Add(1)
	defer s.running.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	<-s.release
	return allowed(), unchanged
}

func stubbornly(hook hook) *reviews {
	return &reviews{path: ValidationPath, hook: hook, log: logr.Discard(), room: newRoom(roomLimit), workers: newWorkers()}
}

// wait polls until a condition is true, which happens on any machine.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// empty reports whether all capacity was released.
func empty(r *reviews) bool {
	if !r.room.all.TryAcquire(roomLimit) {
		return false
	}
	r.room.all.Release(roomLimit)
	if !r.workers.places.TryAcquire(workLimit) {
		return false
	}
	r.workers.places.Release(workLimit)
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	return len(r.room.hosts) == 0
}

func result(t *testing.T, recorder *httptest.ResponseRecorder) *admissionv1.AdmissionResponse {
	t.Helper()
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || got.Response == nil {
		t.Fatalf("status %d, body %s: %v", recorder.Code, recorder.Body, err)
	}
	return got.Response
}

// Work that does not end in time is a denial. It keeps its capacity, and requests that arrive later do not
// accumulate behind it.
func TestWorkThatDoesNotEnd(t *testing.T) {
	hook := newStubborn()
	served := stubbornly(hook)
	body := review(t, createSet(encode(t, validSet())))
	var all sync.WaitGroup
	var denials, busies atomic.Int64
	for range 4 * workLimit {
		all.Go(func() {
			recorder := post(served, ValidationPath+"?timeout=150ms", body)
			if recorder.Code == http.StatusServiceUnavailable {
				busies.Add(1)
				return
			}
			if response := result(t, recorder); !response.Allowed && response.Result.Code == http.StatusTooManyRequests && strings.Contains(response.Result.Message, "did not finish") {
				denials.Add(1)
			}
		})
	}
	all.Wait()
	if denials.Load() != workLimit || busies.Load() != 3*workLimit {
		t.Errorf("%d denials and %d busy, want %d and %d", denials.Load(), busies.Load(), workLimit, 3*workLimit)
	}
	if begun, running := hook.begun.Load(), hook.running.Load(); begun != workLimit || running != workLimit {
		t.Errorf("%d began and %d still run, want %d: abandoned work must not begin", begun, running, workLimit)
	}
	close(hook.release)
	wait(t, "the end of all work", func() bool { return hook.running.Load() == 0 && empty(served) })
	if recorder := post(served, ValidationPath, body); recorder.Code != http.StatusOK || !result(t, recorder).Allowed {
		t.Errorf("after that: status %d, %s", recorder.Code, recorder.Body)
	}
}

// Disconnected clients leave nothing behind: waiting work never begins, and running work keeps its capacity
// until it ends.
func TestClientsThatGo(t *testing.T) {
	hook := newStubborn()
	served := stubbornly(hook)
	body := review(t, createSet(encode(t, validSet())))
	ctx, disconnect := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 2 * workLimit {
		all.Go(func() {
			posted := httptest.NewRequestWithContext(ctx, http.MethodPost, ValidationPath, bytes.NewReader(body))
			posted.Header.Set("Content-Type", "application/json")
			served.ServeHTTP(httptest.NewRecorder(), posted)
		})
	}
	wait(t, "all workers busy", func() bool { return hook.begun.Load() == workLimit })
	disconnect()
	all.Wait()
	if begun := hook.begun.Load(); begun != workLimit {
		t.Errorf("%d began, want %d", begun, workLimit)
	}
	if empty(served) {
		t.Error("running work has released its room")
	}
	close(hook.release)
	wait(t, "the end of all work", func() bool { return empty(served) })
}

// The largest bodies are processed one at a time.
func TestLargeBodiesAreWorkedOnAlone(t *testing.T) {
	hook := newStubborn()
	close(hook.release)
	served := stubbornly(hook)
	body := review(t, createSet([]byte(`{"a":"`+strings.Repeat("x", bodyLimit-(64<<10))+`"}`)))
	wait(t, "a body processed in time", func() bool { // a slow machine may process none of six
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() { post(served, ValidationPath, body) })
		}
		all.Wait()
		return hook.begun.Load() > 0
	})
	if most := hook.most.Load(); most != 1 {
		t.Errorf("%d at a time, want 1", most)
	}
	wait(t, "the end of all work", func() bool { return empty(served) })
}

// panics is a hook with a bug.
type panics struct{}

func (panics) answer(context.Context, *request) (*admissionv1.AdmissionResponse, outcome) {
	panic("no such index")
}

func TestWorkThatPanicsIsADenial(t *testing.T) {
	served := stubbornly(panics{})
	response := result(t, post(served, ValidationPath, review(t, createSet([]byte(`{}`)))))
	if response.Allowed || !strings.Contains(response.Result.Message, "no such index") {
		t.Errorf("%+v, want a denial that names the bug", response)
	}
	wait(t, "the end of all work", func() bool { return empty(served) })
}

// slowBody is a body that arrives when the test permits it.
type slowBody struct {
	io.Reader
	let chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	<-b.let
	return b.Reader.Read(p)
}

// Requests in flight hold no more memory than the room, reserved before a byte is read; and one host leaves
// room for others.
func TestRoomIsTakenBeforeTheBodyIsRead(t *testing.T) {
	served := &reviews{path: PlacementPath, hook: placement{}, log: logr.Discard(), room: newRoom(roomLimit)}
	let := make(chan struct{})
	large := review(t, create([]byte(`{"a":"`+strings.Repeat("x", 3<<20)+`"}`)))
	postFrom := func(host string, body io.Reader, length int) *httptest.ResponseRecorder {
		posted := httptest.NewRequest(http.MethodPost, PlacementPath+"?timeout=150ms", body)
		posted.Header.Set("Content-Type", "application/json")
		posted.RemoteAddr, posted.ContentLength = host+":1", int64(length)
		recorder := httptest.NewRecorder()
		served.ServeHTTP(recorder, posted)
		return recorder
	}
	each := int64(requestCost + 2*len(large))
	want := roomLimit / 2 / each
	var all sync.WaitGroup
	var answered, gaveUp atomic.Int64
	for range 3 * want {
		all.Go(func() {
			if recorder := postFrom("10.0.0.1", &slowBody{bytes.NewReader(large), let}, len(large)); recorder.Code == http.StatusOK {
				answered.Add(1)
			} else {
				gaveUp.Add(1)
			}
		})
	}
	wait(t, "requests without room give up", func() bool {
		return gaveUp.Load() == 2*want && users(served.room, "10.0.0.1") == int(want)
	})
	if small := review(t, create([]byte(`{"spec":{"nodeName":"n1"}}`))); postFrom("10.0.0.2", bytes.NewReader(small), len(small)).Code != http.StatusOK {
		t.Error("another host is shut out")
	}
	close(let)
	all.Wait()
	if answered.Load() != want {
		t.Errorf("%d requests of %d bytes were read at a time, want %d", answered.Load(), len(large), want)
	}
	if !served.room.all.TryAcquire(roomLimit) {
		t.Error("room was not released")
	}
}

func users(r *room, address string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if own := r.hosts[address]; own != nil {
		return own.users
	}
	return 0
}

func TestBodiesBeyondTheLimitAreNotRead(t *testing.T) {
	served := stubbornly(placement{})
	posted := httptest.NewRequest(http.MethodPost, ValidationPath, &slowBody{strings.NewReader(""), nil}) // reading it would hang
	posted.Header.Set("Content-Type", "application/json")
	posted.ContentLength = bodyLimit + 1
	recorder := httptest.NewRecorder()
	served.ServeHTTP(recorder, posted)
	if recorder.Code != http.StatusRequestEntityTooLarge || !empty(served) {
		t.Errorf("status %d %s, want it too large", recorder.Code, recorder.Body)
	}
}

func TestAnswerLimit(t *testing.T) {
	for query, want := range map[string]time.Duration{"": answerLimit, "?timeout=3s": answerLimit, "?timeout=30s": answerLimit, "?timeout=1.5s": time.Second, "?timeout=x": answerLimit, "?timeout=-1s": answerLimit} {
		if got := limitOf(httptest.NewRequest(http.MethodPost, ValidationPath+query, nil)); got != want {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
}
