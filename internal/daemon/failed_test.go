package daemon

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/everynode/everynode/api/v1alpha1"
)

// trying is a cluster whose update revision is judged. Its pods of a broken revision restart instead of becoming ready.
type trying struct {
	*cluster
	spec   v1alpha1.Rollout
	broken string
	record Record
	abort  Verb
	retry  Verb
}

func newTrying(t *testing.T, nodes int, spec v1alpha1.Rollout) *trying {
	c := &trying{cluster: newCluster(t, nodes, unavailable("1")), spec: spec, record: Record{UID: "uid-r2"}}
	c.stable = "r1"
	return c
}

// look lets the controller read what is recorded, as it does after a restart too.
func (c *trying) look() {
	c.t.Helper()
	hold, err := NewHold(&c.spec)
	if err != nil {
		c.t.Fatal(err)
	}
	ruling, _ := RulingOf(&c.record)
	state := RolloutState{Update: c.revision, Stable: c.stable, Hold: hold.AfterRuling(&ruling), Failed: ruling.Failed(), Returns: hold.Returns(&ruling), Since: ruling.EvidenceSince()}
	c.cells.Renew(state, 0, c.strategy)
	c.cells.Recount(c.cells.Nodes(), c.now)
}

// records writes what history would write.
func (c *trying) records() {
	was, _ := RulingOf(&c.record)
	next := was.Rule(c.revision, c.abort, c.retry, c.cells.Evidence(), c.now)
	for _, note := range was.Notes(c.revision, &next) {
		c.record.Notes = map[string]string{note.Annotation: note.Value}
		switch {
		case next.Failed() && !was.Failed():
			c.notef("verdict: %s: %s; nodes %v", next.Reason, next.Message, next.Nodes)
		case was.Failed() && !next.Failed():
			c.notef("the verdict is removed: retry %s", next.Retried)
		case next.Returns && !was.Returns:
			c.notef("aborted: %s", next.Aborted)
		}
		c.look()
	}
}

// settles lets time pass until nothing happens any more.
func (c *trying) settles() {
	c.t.Helper()
	for range 3000 {
		c.now = c.now.Add(time.Second)
		c.records()
		for _, node := range c.cells.Admissible(1) {
			c.cells.Admit(node, eligible, c.now)
			c.notef("%s: admitted", node)
		}
		c.cells.Grant(c.now)
		for _, node := range c.nodes {
			c.act(node)
			c.live(node)
		}
		c.check()
	}
}

// live lets the pods of a node become what they become.
func (c *trying) live(node string) {
	for _, pod := range c.podsOn(node) {
		switch age := c.now.Sub(pod.Created); {
		case pod.Terminating:
			c.gone(pod)
		case !pod.Bound:
			pod.Bound = true
			c.observe(pod)
		case pod.Ready:
		case pod.Revision != c.broken:
			c.ready(pod)
		case age.Truncate(time.Second)%(20*time.Second) == 0 && age < time.Hour:
			object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(pod.Created)}, Spec: corev1.PodSpec{NodeName: node}}
			object.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "app", RestartCount: int32(age / (20 * time.Second)),
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(c.now)}},
			}}
			pod.Signs = ObserveSigns(object)
			c.observe(pod)
		}
	}
}

// A canary crashes and is rolled back; the same template stays failed until a user retries it, once; the next one is fine.
func TestFailedCanary(t *testing.T) {
	five := intstr.FromInt32(5)
	c := newTrying(t, 6, v1alpha1.Rollout{Partition: &five, OnFailure: v1alpha1.OnFailureRollback})
	c.broken = "r2"
	c.notef("template r2, partition 5, onFailure Rollback; r2 crashes")
	c.revision = "r2"
	c.look()
	c.settles()
	wantRevisions(t, c.cluster, map[string]string{"n0": "r1", "n1": "r1", "n2": "r1", "n3": "r1", "n4": "r1", "n5": "r1"})
	c.notef("the controller restarts, and the template is applied again")
	c.look()
	c.settles()
	c.notef("a user sets retry r2/1")
	c.retry = ParseVerb("r2/1")
	c.settles()
	wantRevisions(t, c.cluster, map[string]string{"n0": "r1", "n1": "r1", "n2": "r1", "n3": "r1", "n4": "r1", "n5": "r1"})
	c.notef("template r3, partition 0; r3 is fine; retry r2/1 remains")
	c.revision, c.record, c.spec.Partition = "r3", Record{UID: "uid-r3"}, nil
	c.look()
	c.settles()
	c.done()
	wantLog(t, "failed-canary", c.log)
}

// What onFailure does, and abort; a failed revision is not given to nodes that join.
func TestOnFailure(t *testing.T) {
	tests := map[string]struct {
		onFailure v1alpha1.OnFailure
		abort     string
		broken    string
		want      map[string]string
	}{
		"pause":                                  {v1alpha1.OnFailurePause, "", "r2", map[string]string{"n0": "r2", "n1": "r1", "n2": "r1", "new": "r1"}},
		"rollback":                               {v1alpha1.OnFailureRollback, "", "r2", map[string]string{"n0": "r1", "n1": "r1", "n2": "r1", "new": "r1"}},
		"aborted":                                {v1alpha1.OnFailurePause, "r2", "", map[string]string{"n0": "r1", "n1": "r1", "n2": "r1", "new": "r1"}},
		"aborted, after some nodes were updated": {v1alpha1.OnFailureContinue, "late", "", map[string]string{"n0": "r1", "n1": "r1", "n2": "r1", "new": "r1"}},
		"another revision is aborted":            {v1alpha1.OnFailurePause, "r9", "", map[string]string{"n0": "r2", "n1": "r2", "n2": "r2", "new": "r2"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newTrying(t, 3, v1alpha1.Rollout{OnFailure: test.onFailure, NewNodes: v1alpha1.NewNodesUpdate})
			c.broken, c.revision = test.broken, "r2"
			if test.abort != "late" {
				c.abort = ParseVerb(test.abort)
			}
			c.look()
			c.settles()
			c.abort = ParseVerb(map[bool]string{true: "r2", false: test.abort}[test.abort == "late"])
			c.nodes = append(c.nodes, "new")
			c.cells.SetNode("new", "new", eligible, c.now)
			c.act("new")
			c.live("new")
			c.live("new") // it is bound, and then ready
			c.settles()
			wantRevisions(t, c.cluster, test.want)
		})
	}
}
