package engine

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
)

// refusedStage returns a stage whose pods were refused.
func refusedStage(t *testing.T, refuse error) *stage {
	t.Helper()
	s := newStage(t)
	s.Refuse = refuse
	if got := s.act(t); got != failed {
		t.Fatalf("ReconcileCell = %s, want %s", got, failed)
	}
	s.queues.Drain()
	return s
}

func quota(name, hard, used string) *corev1.ResourceQuota {
	status := corev1.ResourceQuotaStatus{
		Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(hard)},
		Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(used)},
	}
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Status: status}
}

// Refused pods are retried when the cause of the refusal may have changed, and not otherwise.
func TestRefusedPodsAreRetried(t *testing.T) {
	label := func(value string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: map[string]string{"a": value}}}
	}
	other := quota("pods", "5", "3")
	other.Namespace = "other"
	tests := map[string]struct {
		refuse error // defaults to a quota's
		event  func(*Engine)
		want   bool
	}{
		"the quota is raised":               {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "6", "5")) }, want: true},
		"the quota is deleted":              {event: func(o *Engine) { o.ResourceQuotas().Deleted(quota("pods", "5", "5")) }, want: true},
		"the quota is less used":            {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4")) }, want: true},
		"the quota is more used":            {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "4"), quota("pods", "5", "5")) }},
		"the quota is unchanged":            {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "5")) }},
		"another quota is less used":        {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("more", "5", "5"), quota("more", "5", "4")) }},
		"a quota elsewhere":                 {event: func(o *Engine) { o.ResourceQuotas().Deleted(other) }},
		"less used, not refused by a quota": {refuse: errPolicy(), event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4")) }},
		"the namespace's labels":            {refuse: errPolicy(), event: func(o *Engine) { o.Namespaces().Updated(label("1"), label("2")) }, want: true},
		"other fields of the namespace":     {refuse: errPolicy(), event: func(o *Engine) { o.Namespaces().Updated(label("1"), label("1")) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.refuse == nil {
				test.refuse = errQuota()
			}
			s := refusedStage(t, test.refuse)
			s.clock.Advance(answers.RefusedBackOff)
			s.act(t)
			s.clock.Advance(answers.RefusedBackOff) // of the two of this step
			s.queues.Drain()
			test.event(s.engine)
			var want []string
			if test.want {
				want = []string{"uid-d on n1"}
			}
			s.queues.Want(t, want, nil)
			s.Requests = nil
			s.act(t)
			if asked := len(s.Requests) > 0; asked != test.want {
				t.Errorf("retried: %v, want %v", asked, test.want)
			}
		})
	}
}

// A quota whose use changes constantly costs one request a second, not one for each change,
// and the last change is not lost.
func TestQuotaWithChangingUse(t *testing.T) {
	s := refusedStage(t, errQuota())
	s.Requests = nil
	const changes, each = 1000, 10 * time.Millisecond
	for range changes {
		s.engine.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4"))
		s.act(t)
		s.clock.Advance(each)
	}
	if got := len(s.Requests); got < 9 || got > 11 {
		t.Errorf("%d requests in 10 s, want one each second", got)
	}
	if plans := len(s.queues.Cells); plans > 11 {
		t.Errorf("%d cells were woken in 10 s, want one each second", plans)
	}
	s.Refuse = nil
	s.clock.Advance(answers.RefusedBackOff)
	if got := s.act(t); got != looksLater || len(s.Pods(t)) != 1 {
		t.Errorf("ReconcileCell = %s with %d pods, want one created", got, len(s.Pods(t)))
	}
}

// A new class triggers the daemons whose pods were refused because it did not exist.
func TestRefusedWithoutAClass(t *testing.T) {
	s := refusedStage(t, errPolicy())
	s.engine.PriorityClasses().Added(class("other", 1, false))
	s.queues.Want(t, nil, nil)
	s.set = makeDaemon("d", ofClass("late"), generation(2))
	s.state.See(t, s.set)
	if got := s.act(t); got != failed {
		t.Fatalf("ReconcileCell = %s, want %s", got, failed)
	}
	s.queues.Drain()
	s.engine.PriorityClasses().Added(class("late", 1, false))
	s.queues.Want(t, []string{"uid-d on n1"}, nil)
}

// No state is kept for a daemon that was deleted while its pod's request was in flight, or
// for a node that is gone.
func TestRefusalsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(*stage){
		"a daemon": func(s *stage) { s.engine.DaemonSets().Deleted(seenAs(s.set)) },
		"a node":   func(s *stage) { s.engine.Nodes().Deleted(s.node) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.state.SeeNode(makeNode("n2"))
			s.Refuse, s.WhileRefusing = errQuota(), func() { end(s) }
			s.act(t)
			s.act(t) // an error requeues it
			_, health := s.state.Health(fixture.Key(s.set))
			if _, there := health.Problems["n1"]; there {
				t.Error("the problem of its cell is still recorded")
			}
			s.state.Update(func(u model.Update) {
				if wait, because := u.MayAsk(fixture.Key(s.set).On("n2")); because != nil {
					t.Errorf("another cell is held back for %s because of %v", wait, because)
				}
			})
		})
	}
}
