package history

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

func change(seconds int, revision int64, resource Resource, object client.Object) Record {
	return Record{At: at(seconds), Revision: revision, Change: &Change{Type: watch.Added, Resource: resource, Object: object}}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "ns"} }

// A saved history is read back with its header, its records in order, and objects of their types.
func TestSaved(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: named("p"), Spec: corev1.PodSpec{NodeName: "n1"}}
	event := &unstructured.Unstructured{Object: map[string]any{"kind": "Event", "apiVersion": "v1", "note": "x"}}
	want := &History{
		Title: "seed 1", Controllers: []string{"c"}, Schedulers: []string{"s"}, Serves: []Resource{NativeDaemonSets}, Began: 7, Lag: time.Second,
		Bystanders: []string{"b"}, BystandersWithin: time.Minute,
		Records: []Record{
			change(0, 1, Pods, pod),
			change(1, 2, Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}),
			change(2, 3, DaemonSets, &v1alpha1.DaemonSet{ObjectMeta: named("d")}),
			change(3, 4, NativeDaemonSets, &appsv1.DaemonSet{ObjectMeta: named("d")}),
			change(4, 5, ControllerRevisions, &appsv1.ControllerRevision{ObjectMeta: named("r"), Data: runtime.RawExtension{Raw: []byte(`{"spec":1}`)}}),
			change(5, 6, RuntimeClasses, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}}),
			{At: at(6), Request: &Request{User: "c", Verb: "create", Resource: "pods", Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "4", Object: pod, Code: 201, Took: time.Second,
				View: &View{Process: "1", At: at(5), From: 2, To: map[Resource]int64{Pods: 3}}}},
			{At: at(7), Request: &Request{User: "c", Verb: "create", Resource: "events.events.k8s.io", Object: event, DryRun: true, Reason: "Conflict"}},
			{At: at(8), Mark: &Mark{Kind: Gap, Resource: Pods, From: 4, Name: "n", Everyone: true, Text: "x"}},
		},
	}
	var saved bytes.Buffer
	if err := want.Save(&saved); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(saved.String(), "\n"); lines != 1+len(want.Records) {
		t.Errorf("%d lines, want one for the header and one for each of %d records", lines, len(want.Records))
	}
	got, err := Load(&saved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want, +got)\n%s", diff)
	}
}

// What is damaged is refused, with the number of its record.
func TestDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"no header":                 "",
		"a record cut in half":      "{\"title\":\"x\"}\n{\"at\":\"2026-01-02T03:04:05Z\",\"mark\":{\"ki",
		"a record of nothing":       "{\"title\":\"x\"}\n{\"at\":\"2026-01-02T03:04:05Z\"}",
		"a change without object":   "{\"title\":\"x\"}\n{\"at\":\"2026-01-02T03:04:05Z\",\"change\":{\"type\":\"ADDED\",\"resource\":\"pods\"}}",
		"an object of a wrong type": "{\"title\":\"x\"}\n{\"at\":\"2026-01-02T03:04:05Z\",\"change\":{\"type\":\"ADDED\",\"resource\":\"pods\"},\"object\":[]}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(strings.NewReader(text)); err == nil {
				t.Error("it is accepted")
			}
		})
	}
}

// Changes are ordered by revision, whatever their observers' delays; a request comes before every change that it may
// have caused, and after those that were stored before it was received.
func TestMerge(t *testing.T) {
	pod := func(seconds int, revision int64) Record {
		return change(seconds, revision, Pods, &corev1.Pod{ObjectMeta: named("p")})
	}
	node := func(seconds int, revision int64) Record {
		return change(seconds, revision, Nodes, &corev1.Node{ObjectMeta: named("n")})
	}
	request := func(seconds int) Record { return Record{At: at(seconds), Request: &Request{User: "c"}} }
	mark := func(seconds int, kind MarkKind) Record { return Record{At: at(seconds), Mark: &Mark{Kind: kind}} }
	tests := map[string]struct {
		streams [][]Record
		want    []Record
	}{
		"by revision": {
			streams: [][]Record{{pod(5, 1), pod(6, 4)}, {node(1, 2), node(2, 3)}},
			want:    []Record{pod(5, 1), node(1, 2), node(2, 3), pod(6, 4)},
		},
		"a request between": {
			streams: [][]Record{{pod(1, 1), pod(5, 2)}, {request(3)}},
			want:    []Record{pod(1, 1), request(3), pod(5, 2)},
		},
		"a change was observed late, and a later one before the request": {
			streams: [][]Record{{pod(9, 1)}, {node(2, 2)}, {request(3)}},
			want:    []Record{pod(9, 1), node(2, 2), request(3)},
		},
		"a change may have been stored before": {
			streams: [][]Record{{pod(4, 1)}, {node(5, 2)}, {request(3)}},
			want:    []Record{request(3), pod(4, 1), node(5, 2)},
		},
		"a gap stays before the list that follows": {
			streams: [][]Record{{pod(1, 1), mark(2, Gap), pod(8, 7)}, {node(3, 5)}, {mark(9, Settled)}},
			want:    []Record{pod(1, 1), node(3, 5), mark(2, Gap), pod(8, 7), mark(9, Settled)},
		},
		"a gap at the end": {
			streams: [][]Record{{pod(1, 1), mark(2, Gap)}, {node(3, 5)}},
			want:    []Record{pod(1, 1), node(3, 5), mark(2, Gap)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Merge(test.streams...)); diff != "" {
				t.Errorf("(-want, +got)\n%s", diff)
			}
		})
	}
}

// Each record is one line of prose.
func TestText(t *testing.T) {
	daemon := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u1", Labels: map[string]string{"controller-revision-hash": "r1"},
			OwnerReferences: []metav1.OwnerReference{{Name: "d", UID: "ud", Controller: &daemon}}, DeletionTimestamp: &metav1.Time{Time: t0}},
		Spec:   corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	h := &History{Records: []Record{
		change(0, 1, Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "un"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}}}),
		{At: at(1), Request: &Request{User: "c", Verb: "delete", Resource: "pods", Namespace: "ns", Name: "p", UID: "u1", Code: 409, Reason: "Conflict", Took: time.Second}},
		change(2, 2, Pods, pod),
		{At: at(3), Mark: &Mark{Kind: FaultBegins, Text: "the watch freezes"}},
	}}
	want := []string{
		"     0      0.00s r1 node n1 (un) is created: tainted a:NoSchedule",
		"     1      1.00s c: delete pods ns/p of UID u1: 409 Conflict after 1s",
		"     2      2.00s r2 pod ns/p (u1) is created: on node n1, revision r1, running, ready, terminating, of d ud",
		"     3      3.00s --- FaultBegins the watch freezes",
		"",
	}
	if diff := cmp.Diff(want, strings.Split(h.Text(-5, 100), "\n")); diff != "" {
		t.Errorf("(-want, +got)\n%s", diff)
	}
}
