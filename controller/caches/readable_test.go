package caches

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// setOf returns a DaemonSet in JSON with this spec and status.
func setOf(name, spec, status string) string {
	return fmt.Sprintf(`{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","metadata":{"name":%q,"namespace":"ns","uid":"uid-%s","resourceVersion":"7","generation":2,
		"labels":{"a":"b"},"finalizers":["f"],"deletionTimestamp":"2026-01-02T03:04:05Z","managedFields":[{"manager":"m"}]},"spec":%s,"status":%s}`, name, name, spec, status)
}

// hostile are specs that a decoder refuses, or needs too long for.
func hostile() map[string]string {
	inContainer := func(more string) string {
		return `{"template":{"spec":{"containers":[{"name":"c",` + more + `}]}}}`
	}
	return map[string]string{
		"a small exponent":         inContainer(`"resources":{"limits":{"cpu":"1e-40000000"}}`),
		"a large exponent":         inContainer(`"resources":{"limits":{"cpu":"1e30000000"}}`),
		"an exponent beyond int64": inContainer(`"resources":{"limits":{"cpu":"1e99999999999999999999"}}`),
		"a port beyond int32":      inContainer(`"ports":[{"containerPort":5000000000}]`),
		"an int-or-string":         `{"updateStrategy":{"rollingUpdate":{"maxUnavailable":5000000000}}}`,
		"another type":             `{"selector":"app=d"}`,
		"a list":                   `[1]`,
		"a text":                   `"spec"`,
		"many empty containers":    `{"template":{"spec":{"containers":[` + strings.Repeat(`{},`, 200000) + `{}]}}}`,
		"a number of many digits":  `{"minReadySeconds":` + strings.Repeat("1", 1<<20) + `}`,
		"two specs":                `{},"spec":` + inContainer(`"resources":{"limits":{"cpu":"1e-40000000"}}`),
	}
}

const (
	goodSpec   = `{"minReadySeconds":7,"selector":{"matchLabels":{"app":"d"}}}`
	goodStatus = `{"desiredNumberScheduled":3,"conditions":[{"type":"Degraded","status":"False","reason":"R","message":"m","lastTransitionTime":"2026-01-02T03:04:05Z"}]}`
)

// seenOf returns what the cache keeps of a DaemonSet in JSON.
func seenOf(t *testing.T, data string) *Set {
	t.Helper()
	seen, err := TrimSet(decoded(t, []byte(data)))
	if err != nil {
		t.Fatal(err)
	}
	return seen.(*Set)
}

// A DaemonSet that cannot be decoded is kept nevertheless: its identity, whether it is being deleted, and its status.
func TestReadSetKeepsWhatCanBeDecoded(t *testing.T) {
	for name, spec := range hostile() {
		t.Run(name, func(t *testing.T) {
			got := seenOf(t, setOf("d", spec, goodStatus))
			if got.Workload.Undecodable == nil {
				t.Fatal("no error")
			}
			want := seenOf(t, setOf("d", `{}`, goodStatus))
			if want.Workload.Undecodable != nil {
				t.Fatal(want.Workload.Undecodable)
			}
			if diff := cmp.Diff(want.Object, got.Object); diff != "" {
				t.Errorf("what is kept (-of one without a spec, +got):\n%s", diff)
			}
			if w := got.Workload; w.Key.UID != "uid-d" || !w.Terminating || w.Status.DesiredNumberScheduled != 3 || got.GetManagedFields() != nil || w.Kind != daemon.Everynode {
				t.Errorf("kept: %+v", w)
			}
		})
	}
}

func TestReadSetOfAValidSet(t *testing.T) {
	for name, tc := range map[string]struct {
		status      string
		wantDesired int32
	}{
		"everything":                          {goodStatus, 3},
		"all but a number in its status":      {`{"desiredNumberScheduled":5000000000,"numberReady":1}`, 0},
		"all but a time in its status":        {`{"desiredNumberScheduled":3,"conditions":[{"lastTransitionTime":"now"}]}`, 3},
		"all but its status, of another type": {`[]`, 0},
		"without a status":                    {`null`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := seenOf(t, setOf("d", goodSpec, tc.status))
			if w := got.Workload; w.Undecodable != nil || w.MinReady != 7*time.Second || w.Generation != 2 || w.Status.DesiredNumberScheduled != tc.wantDesired {
				t.Errorf("kept %+v", w)
			}
		})
	}
}

// A list has all its items, whatever they contain, and so does its copy.
func TestReadSetList(t *testing.T) {
	items := []string{setOf("first", goodSpec, goodStatus)}
	for _, spec := range hostile() {
		items = append(items, setOf("bad", spec, goodStatus))
	}
	items = append(items, `{"metadata":{"name":"d","generation":"two","labels":{"a":7},"uid":"u"},"spec":{}}`, `{"metadata":[]}`, `{}`, `null`, setOf("last", goodSpec, goodStatus))
	data := `{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSetList","metadata":{"resourceVersion":"9","continue":"more"},"items":[` + strings.Join(items, ",") + `]}`
	list := decoded(t, []byte(data)).DeepCopyObject()
	if access, err := meta.ListAccessor(list); err != nil || access.GetResourceVersion() != "9" || access.GetContinue() != "more" {
		t.Errorf("metadata of the list: %v, %v", access, err)
	}
	objects, err := meta.ExtractList(list)
	if err != nil || len(objects) != len(items) {
		t.Fatalf("%d items, %v, want %d", len(objects), err, len(items))
	}
	for i, object := range objects {
		seen, err := TrimSet(object)
		if err != nil {
			t.Fatal(err)
		}
		w := seen.(*Set).Workload
		if whole := i == 0 || i == len(items)-1; whole != (w.Undecodable == nil && w.MinReady == 7*time.Second) {
			t.Errorf("item %d, %s: %v", i, w.Name, w.Undecodable)
		}
		if again, err := TrimSet(seen); err != nil || again != seen {
			t.Errorf("trimmed twice: %v, %v", again, err)
		}
	}
	if set := objects[len(items)-5].(*ReadSet); set.Name != "d" || set.UID != "u" {
		t.Errorf("kept of partly invalid metadata: %+v", set.ObjectMeta)
	}
}

// A bookmark is an object without a spec, whose annotation ends the list.
func TestReadSetOfBookmark(t *testing.T) {
	bookmark := decoded(t, []byte(`{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}`)).(*ReadSet)
	if bookmark.Wrong != nil || bookmark.ResourceVersion != "9" || bookmark.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("a bookmark is %+v, %v", bookmark.ObjectMeta, bookmark.Wrong)
	}
}

func TestTrimSetOfApps(t *testing.T) {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "d", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}}}
	seen, err := TrimSet(set)
	if err != nil || seen.(*Set).Workload.Kind != daemon.Apps || seen.(*Set).GetManagedFields() != nil {
		t.Errorf("%+v, %v", seen, err)
	}
	if other, err := TrimSet(&appsv1.Deployment{}); err != nil || !cmp.Equal(other, &appsv1.Deployment{}) {
		t.Errorf("another object = %v, %v", other, err)
	}
}

// The copy of a DaemonSet that cannot be decoded has its kind and its error.
func TestReadSetCopy(t *testing.T) {
	set := decoded(t, []byte(setOf("d", `[]`, goodStatus))).(*ReadSet)
	copied := set.DeepCopyObject()
	if got, ok := copied.(*ReadSet); !ok || got.Wrong == nil || got.Name != "d" || got.GroupVersionKind() != v1alpha1.DaemonSetKind {
		t.Errorf("the copy is a %T: %+v", copied, copied)
	}
}

// Decoding never fails for any JSON, and keeps everything that is well-formed.
func FuzzReadSet(f *testing.F) {
	for _, spec := range hostile() {
		f.Add([]byte(setOf("d", spec, goodStatus)))
	}
	f.Add([]byte(setOf("d", goodSpec, `{"conditions":[null,{}]}`)))
	f.Add([]byte(`{"metadata":null,"spec":null,"status":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		var lenient ReadSet
		if err := lenient.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
	})
}
