package caches

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
)

// follower is an observed cache of nodes, with a clock.
type follower struct {
	caches  *Caches
	clock   *fixture.Clock
	of      *cached
	watched *observedListWatch
	handled bool
	stopped bool

	listErr, watchErr error
	stream            *watch.FakeWatcher
}

func (f *follower) ListWithContext(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return &corev1.NodeList{}, f.listErr
}

func (f *follower) WatchWithContext(context.Context, metav1.ListOptions) (watch.Interface, error) {
	if f.watchErr != nil {
		return nil, f.watchErr
	}
	f.stream = watch.NewFake()
	return f.stream, nil
}

func newFollower() *follower {
	f := &follower{caches: New(everynode), clock: &fixture.Clock{Time: fixture.T0}, handled: true}
	f.of = &cached{kind: kindOf(&LeanNode{}), now: f.clock.Now, stop: func() bool { return f.stopped }, ready: []func() bool{func() bool { return true }}}
	f.caches.each = []*cached{f.of}
	f.caches.Handled(&LeanNode{}, func() bool { return f.handled })
	f.watched = &observedListWatch{f, f.of}
	return f
}

func (f *follower) list() {
	_, _ = f.watched.ListWithContext(context.Background(), metav1.ListOptions{})
}

// watch opens a watch and passes one event through it, if there is one.
func (f *follower) watch(t *testing.T, listing bool, event *watch.Event) {
	t.Helper()
	stream, err := f.watched.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: ptr.To(listing)})
	if err != nil {
		return
	}
	defer stream.Stop()
	if event != nil {
		go f.stream.Action(event.Type, event.Object)
		<-stream.ResultChan()
	}
}

// Whatever keeps a cache from following the API server is reported by the check and the metric, and nothing else is.
func TestCaches(t *testing.T) {
	down := errors.New("connection refused")
	added := &watch.Event{Type: watch.Added, Object: &LeanNode{}}
	bookmark := &watch.Event{Type: watch.Bookmark, Object: &LeanNode{corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}}}
	broken := &watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(errors.New("cannot decode")).ErrStatus}
	tests := map[string]struct {
		happens func(t *testing.T, f *follower)
		want    string // part of the check's error; "" for ready
	}{
		"synced":                              {func(*testing.T, *follower) {}, ""},
		"initial objects are not handled yet": {func(_ *testing.T, f *follower) { f.handled = false }, "Node is being read"},
		"it cannot be listed at first":        {func(_ *testing.T, f *follower) { f.handled, f.listErr = false, down; f.list() }, "Node could not be listed or watched since 2026-01-02T03:04:05Z: connection refused"},
		"a list fails, for a moment":          {func(_ *testing.T, f *follower) { f.listErr = down; f.list(); f.clock.Advance(watchPatience - 1) }, ""},
		"lists fail":                          {func(_ *testing.T, f *follower) { f.listErr = down; f.list(); f.clock.Advance(watchPatience); f.list() }, "connection refused"},
		"a list fails and the next does not": {func(_ *testing.T, f *follower) {
			f.listErr = down
			f.list()
			f.listErr = nil
			f.list()
			f.clock.Advance(time.Hour)
		}, ""},
		"watches fail": {func(t *testing.T, f *follower) {
			f.watchErr = down
			f.watch(t, false, nil)
			f.clock.Advance(watchPatience)
		}, "connection refused"},
		"a watch fails and the next has an event": {func(t *testing.T, f *follower) {
			f.watchErr = down
			f.watch(t, false, nil)
			f.watchErr = nil
			f.watch(t, false, added)
			f.clock.Advance(time.Hour)
		}, ""},
		"a watch fails and the next is idle": {func(t *testing.T, f *follower) {
			f.watchErr = down
			f.watch(t, false, nil)
			f.watchErr = nil
			f.watch(t, false, nil)
			f.clock.Advance(time.Hour)
		}, ""},
		"a streamed list is interrupted": {func(t *testing.T, f *follower) {
			f.listErr = down
			f.list()
			f.watch(t, true, added)
			f.clock.Advance(watchPatience)
		}, "connection refused"},
		"a streamed list ends": {func(t *testing.T, f *follower) {
			f.listErr = down
			f.list()
			f.watch(t, true, bookmark)
			f.clock.Advance(time.Hour)
		}, ""},
		"an event cannot be decoded": {func(t *testing.T, f *follower) { f.watch(t, false, broken); f.clock.Advance(watchPatience) }, "cannot decode"},
		"it has stopped":             {func(_ *testing.T, f *follower) { f.stopped = true }, "Node is no longer watched"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFollower()
			tc.happens(t, f)
			err := f.caches.Checks()["cache-Node"](nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Check = %v, want %q", err, tc.want)
			}
			if synced := testutil.ToFloat64(f.caches) == 1; synced != (tc.want == "") {
				t.Errorf("the metric is %v", synced)
			}
		})
	}
}

// Every kind that is watched has a cache whose lists and watches are observed; a replica that does not
// lead has none, and is ready.
func TestCachesOfEveryKind(t *testing.T) {
	c := New(model.Kinds{Everynode: true, Apps: true})
	checks := c.Checks()
	for name, check := range checks {
		if err := check(nil); err != nil {
			t.Errorf("%s without a cache: %v", name, err)
		}
	}
	for _, object := range append(Watched(c.kinds), &corev1.ConfigMap{}) {
		c.newInformer(newFollower(), object, 0, nil)
	}
	if len(c.all()) != len(checks) {
		t.Errorf("%d checks for %d kinds", len(checks), len(c.all()))
	}
	for _, of := range c.all() {
		if check := checks["cache-"+of.kind]; check == nil {
			t.Errorf("%s has no check", of.kind)
		} else if err := check(nil); err == nil || err.Error() != of.kind+" is being read" {
			t.Errorf("%s before it was read: %v", of.kind, err)
		}
	}
}

// Kubelets ask for readiness, and Prometheus for metrics, while handlers are added. The race detector watches.
func TestChecksWhileHandlersAreAdded(t *testing.T) {
	c := New(model.Kinds{Everynode: true})
	object := Watched(c.kinds)[0]
	c.newInformer(newFollower(), object, 0, nil)
	check := c.Checks()["cache-"+kindOf(object)]
	const rounds = 100
	var (
		asked  atomic.Int32
		asking sync.WaitGroup
	)
	asking.Go(func() {
		for range rounds {
			_ = check(nil) // the answer depends on the moment
			testutil.CollectAndCount(c)
			asked.Add(1)
		}
	})
	added := 0
	for ; asked.Load() < rounds; added++ {
		c.Handled(object, func() bool { return true })
	}
	asking.Wait()
	if got, want := len(c.all()[0].ready), added+1; got != want {
		t.Errorf("the cache waits for %d, want its informer and %d handlers", got, added)
	}
}

func (f *follower) List(metav1.ListOptions) (runtime.Object, error) {
	return nil, errors.ErrUnsupported
}

func (f *follower) Watch(metav1.ListOptions) (watch.Interface, error) {
	return nil, errors.ErrUnsupported
}
