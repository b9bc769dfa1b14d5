package engine

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/controller/answers"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/controller/pace"
	"github.com/everynode/everynode/internal/daemon"
)

// What the API server says of one pod of a daemon it says of all: a quota costs a request a step of
// back-off, not one for each node (S8), and when there is room again all follow at once. So does a
// namespace that is being deleted, for as long as something keeps it.
func TestRefusedDaemonAsksOneAtATime(t *testing.T) {
	for reason, refuse := range map[string]error{answers.ReasonFailed: errQuota(), answers.ReasonTerminating: errNamespaceTerminating()} {
		t.Run(reason, func(t *testing.T) { asksOneAtATime(t, refuse, reason) })
	}
}

func asksOneAtATime(t *testing.T, refuse error, reason string) {
	const nodes, hour = 50, time.Hour
	s := newStage(t)
	cells := []daemon.CellKey{stageKey}
	for n := 1; n < nodes; n++ {
		node := makeNode(fmt.Sprintf("more-%d", n))
		s.world.nodeSeen(node)
		cells = append(cells, model.KeyOf(s.set).On(node.Name))
	}
	woken := map[daemon.CellKey]bool{}
	s.world.queues.cell = func(cell daemon.CellKey, _ int32) { woken[cell] = true }
	s.Refuse = refuse
	due := map[daemon.CellKey]time.Time{}
	for s.clock.Time.Sub(t0) < hour {
		for _, cell := range cells {
			if !due[cell].After(s.clock.Time) {
				result, err := s.actor.Reconcile(t.Context(), cell)
				wait := result.RequeueAfter
				if err != nil {
					wait = answers.RefusedBackOffMax // of its own
				}
				due[cell] = s.clock.Time.Add(wait)
			}
		}
		s.clock.Advance(time.Second)
	}
	if got := len(s.Requests); got < 10 || got > 14 {
		t.Errorf("%d requests in an hour, want the 10 to 14 of one back-off", got)
	}
	_, health := s.world.health(model.KeyOf(s.set))
	problems := map[string]int{}
	for _, problem := range health.Problems {
		problems[problem.Reason]++
	}
	if problems[reason] != nodes {
		t.Errorf("nodes have the problems %v, want all %d %s", problems, nodes, reason)
	}
	clear(woken)
	s.Refuse = nil
	s.clock.Advance(answers.RefusedBackOffMax)
	if _, err := s.actor.Reconcile(t.Context(), cells[7]); err != nil {
		t.Fatal(err)
	}
	if len(woken) != nodes {
		t.Errorf("%d cells are planned when a pod is taken, want all %d", len(woken), nodes)
	}
	for _, cell := range cells {
		if _, err := s.actor.Reconcile(t.Context(), cell); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.Pods(t)); got != nodes {
		t.Errorf("%d pods, want %d", got, nodes)
	}
}

// Who is held back asked nothing: that is no answer that lets more creates in at a time.
func TestHeldBackLetsNobodyIn(t *testing.T) {
	s := newStage(t)
	s.actor.gate = pace.New(8)
	s.Refuse = errQuota()
	if _, err := s.actor.Reconcile(t.Context(), stageKey); err == nil {
		t.Fatal("a refused pod is no error")
	}
	before, _ := s.actor.gate.State()
	for range 5 {
		if _, err := s.actor.Reconcile(t.Context(), stageKey); err != nil {
			t.Fatal(err)
		}
	}
	if limit, inFlight := s.actor.gate.State(); limit != before || inFlight != 0 {
		t.Errorf("%d of %d are let in after five were held back, want none of %d", inFlight, limit, before)
	}
}

// refusedStage is a stage whose pods were refused, and the observer that wakes them.
func refusedStage(t *testing.T, refuse error) (*stage, *Engine, *queues) {
	t.Helper()
	s := newStage(t)
	q := &queues{}
	s.world.queues = q.enqueuers()
	s.Refuse = refuse
	if got := answer(s.actor.Reconcile(t.Context(), stageKey)); got != failed {
		t.Fatalf("Reconcile = %s, want %s", got, failed)
	}
	q.drain()
	return s, &Engine{state: s.world, owners: s.actor.owners}, q
}

func quota(name, hard, used string) *corev1.ResourceQuota {
	status := corev1.ResourceQuotaStatus{
		Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(hard)},
		Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(used)},
	}
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Status: status}
}

// Who was refused asks again when what refused it may have changed, and not when it did not.
func TestRefusedAskAgain(t *testing.T) {
	label := func(value string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: map[string]string{"a": value}}}
	}
	other := quota("pods", "5", "3")
	other.Namespace = "other"
	tests := map[string]struct {
		refuse error // a quota's when nil
		event  func(*Engine)
		want   bool
	}{
		"the quota is raised":          {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "6", "5")) }, want: true},
		"the quota is gone":            {event: func(o *Engine) { o.ResourceQuotas().Deleted(quota("pods", "5", "5")) }, want: true},
		"the quota is less used":       {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4")) }, want: true},
		"the quota is more used":       {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "4"), quota("pods", "5", "5")) }},
		"the quota is as it was":       {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "5")) }},
		"another quota is less used":   {event: func(o *Engine) { o.ResourceQuotas().Updated(quota("more", "5", "5"), quota("more", "5", "4")) }},
		"a quota elsewhere":            {event: func(o *Engine) { o.ResourceQuotas().Deleted(other) }},
		"less used, no quota refused":  {refuse: errPolicy(), event: func(o *Engine) { o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4")) }},
		"the namespace's labels":       {refuse: errPolicy(), event: func(o *Engine) { o.Namespaces().Updated(label("1"), label("2")) }, want: true},
		"the namespace's other things": {refuse: errPolicy(), event: func(o *Engine) { o.Namespaces().Updated(label("1"), label("1")) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.refuse == nil {
				test.refuse = errQuota()
			}
			s, o, q := refusedStage(t, test.refuse)
			s.clock.Advance(answers.RefusedBackOff)
			_, _ = s.actor.Reconcile(t.Context(), stageKey)
			s.clock.Advance(answers.RefusedBackOff) // of the two of this step
			q.drain()
			test.event(o)
			var want []string
			if test.want {
				want = []string{"uid-d on n1"}
			}
			wantQueued(t, q, want, nil)
			s.Requests = nil
			_, _ = s.actor.Reconcile(t.Context(), stageKey)
			if asked := len(s.Requests) > 0; asked != test.want {
				t.Errorf("asked again: %v, want %v", asked, test.want)
			}
		})
	}
}

// A quota whose use goes up and down all the time costs one request a second, not one a change, and
// the last change is not lost.
func TestUseOfAQuotaGoesDownOften(t *testing.T) {
	s, o, q := refusedStage(t, errQuota())
	s.Requests = nil
	const changes, each = 1000, 10 * time.Millisecond
	for range changes {
		o.ResourceQuotas().Updated(quota("pods", "5", "5"), quota("pods", "5", "4"))
		_, _ = s.actor.Reconcile(t.Context(), stageKey)
		s.clock.Advance(each)
	}
	if got := len(s.Requests); got < 9 || got > 11 {
		t.Errorf("%d requests in 10 s, want one each second", got)
	}
	if plans := len(q.plans); plans > 11 {
		t.Errorf("%d cells were woken in 10 s, want one each second", plans)
	}
	s.Refuse = nil
	s.clock.Advance(answers.RefusedBackOff)
	if got := answer(s.actor.Reconcile(t.Context(), stageKey)); got != looksLater || len(s.Pods(t)) != 1 {
		t.Errorf("Reconcile = %s with %d pods, want one made", got, len(s.Pods(t)))
	}
}

// A class that is made wakes the daemons that were refused for want of it.
func TestRefusedForWantOfAClass(t *testing.T) {
	s, o, q := refusedStage(t, errPolicy())
	o.PriorityClasses().Added(class("other", 1, false))
	wantQueued(t, q, nil, nil)
	s.set = makeDaemon("d", ofClass("late"), generation(2))
	see(t, s.world, s.set)
	if got := answer(s.actor.Reconcile(t.Context(), stageKey)); got != failed {
		t.Fatalf("Reconcile = %s, want %s", got, failed)
	}
	q.drain()
	o.PriorityClasses().Added(class("late", 1, false))
	wantQueued(t, q, []string{"uid-d on n1"}, nil)
}

// Nothing is remembered of a daemon that ended while the API server thought about its pod, nor of
// a node that is gone.
func TestRefusalsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(*stage, *Engine){
		"a daemon": func(s *stage, o *Engine) { o.DaemonSets().Deleted(seenAs(s.set)) },
		"a node":   func(s *stage, o *Engine) { o.Nodes().Deleted(s.node) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			o := &Engine{state: s.world, owners: s.actor.owners}
			s.world.nodeSeen(makeNode("n2"))
			s.Refuse, s.WhileRefusing = errQuota(), func() { end(s, o) }
			_, _ = s.actor.Reconcile(t.Context(), stageKey)
			_, _ = s.actor.Reconcile(t.Context(), stageKey) // an error brings it back
			_, health := s.world.health(model.KeyOf(s.set))
			if _, there := health.Problems["n1"]; there {
				t.Error("the problem of its cell is remembered")
			}
			if wait, because := s.world.mayAsk(model.KeyOf(s.set).On("n2")); because != nil {
				t.Errorf("another cell is held back for %s because of %v", wait, because)
			}
		})
	}
}
