package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/everynode/everynode/controller/answers"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a clock that tests advance.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// makeDaemon returns DaemonSet ns/<name> with UID uid-<name>.
func makeDaemon(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)},
	}
}

func wantStrings(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want, +got):\n%s", what, diff)
	}
}

// book is a ledger, its queue and its writes.
type book struct {
	*Ledger
	t       *testing.T
	clock   *clock
	queued  map[PageKey]time.Time
	server  client.WithWatch
	posts   int
	patches int
	refuse  error
}

func newBook(t *testing.T) *book {
	scheme := runtime.NewScheme()
	if err := eventsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := &book{t: t, clock: &clock{now: t0}, queued: map[PageKey]time.Time{}}
	b.server = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			b.posts++
			if event := object.(*eventsv1.Event); len(event.Note) > noteLimit || event.Note == "" {
				t.Errorf("a note of %d bytes is refused by the API server", len(event.Note))
			}
			if b.refuse != nil {
				return b.refuse
			}
			return c.Create(ctx, object, options...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			b.patches++
			return c.Patch(ctx, object, patch, options...)
		},
	}).Build()
	b.Ledger = New(b.server, b.clock.Now, "host")
	b.queue = func(key PageKey, after time.Duration) {
		if at, waits := b.queued[key]; !waits || b.clock.now.Add(after).Before(at) {
			b.queued[key] = b.clock.now.Add(max(after, 0))
		}
	}
	return b
}

// work writes every page that is due.
func (b *book) work() {
	b.t.Helper()
	for key, at := range b.queued {
		if at.After(b.clock.now) {
			continue
		}
		delete(b.queued, key)
		result, err := b.Reconcile(b.t.Context(), key)
		if err != nil {
			b.t.Fatal(err)
		}
		if result.RequeueAfter > 0 {
			b.queue(key, result.RequeueAfter)
		}
	}
}

// pass advances the clock, a second at a time.
func (b *book) pass(d time.Duration) {
	for end := b.clock.now.Add(d); b.clock.now.Before(end); b.work() {
		b.clock.advance(time.Second)
	}
}

func (b *book) events() []eventsv1.Event {
	b.t.Helper()
	var list eventsv1.EventList
	if err := b.server.List(b.t.Context(), &list); err != nil {
		b.t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b eventsv1.Event) int { return strings.Compare(a.Name, b.Name) })
	return list.Items
}

// notes returns the notes of all events with a reason.
func (b *book) notes(reason string) (notes []string) {
	for _, event := range b.events() {
		if event.Reason == reason {
			notes = append(notes, event.Note)
		}
	}
	return notes
}

func (b *book) deletes(set runtime.Object, why string, from, to int) {
	for i := from; i < to; i++ {
		name := fmt.Sprintf("d-node-%04d-abcdefgh", i)
		b.Note(set, corev1.EventTypeNormal, "SuccessfulDelete", "DeletePod", Entry{
			Related: PodReference("ns", name, ""), One: "Deleted pod " + name + ": " + why, Many: "Deleted %s", Why: why,
		})
	}
}

// Every pod of a burst is named, at a cost that is bounded by the length of its name.
func TestLedgerNamesEveryPodOfABurst(t *testing.T) {
	for _, burst := range []int{1, 5, 50, 5000} {
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			b := newBook(t)
			set := makeDaemon("d")
			b.deletes(set, "its template is old", 0, 1)
			b.work()
			if notes := b.notes("SuccessfulDelete"); len(notes) != 1 || notes[0] != "Deleted pod d-node-0000-abcdefgh: its template is old" {
				t.Fatalf("notes %q, want the first pod reported at once", notes)
			}
			b.deletes(set, "its template is old", 1, burst)
			b.pass(3 * time.Second)
			all := strings.Join(b.notes("SuccessfulDelete"), "\n")
			for i := range burst {
				if name := fmt.Sprintf("d-node-%04d-abcdefgh", i); strings.Count(all, name) != 1 {
					t.Fatalf("%s is named %d times in:\n%s", name, strings.Count(all, name), all)
				}
			}
			const perNote = 40 // names of 20 bytes
			if most := 2 + burst/perNote; b.posts > most || b.patches > 0 {
				t.Errorf("%d events and %d patches for %d pods, want at most %d and none", b.posts, b.patches, burst, most)
			}
			if b.pass(time.Minute); len(b.pages) > 0 {
				t.Errorf("%d pages are kept", len(b.pages))
			}
		})
	}
}

// Pods that are deleted for different reasons are reported in different events, each with its reason.
func TestLedgerKeepsReasonsApart(t *testing.T) {
	b := newBook(t)
	set := makeDaemon("d")
	b.deletes(set, "first", 0, 1)
	b.work()
	b.deletes(set, "its node is gone", 1, 3)
	b.deletes(set, "it is too many", 3, 5)
	b.deletes(set, "its node is gone", 5, 6)
	b.pass(2 * time.Second)
	wantStrings(t, "notes", []string{
		"Deleted pod d-node-0000-abcdefgh: first",
		"Deleted 3 pods (its node is gone): d-node-0001-abcdefgh, d-node-0002-abcdefgh, d-node-0005-abcdefgh",
		"Deleted 2 pods (it is too many): d-node-0003-abcdefgh, d-node-0004-abcdefgh",
	}, b.notes("SuccessfulDelete"))
}

// The regarding reference of an event has no resourceVersion, and its first pod is related.
func TestLedgerRefersToObjects(t *testing.T) {
	for _, name := range []string{"everynode.dev/v1alpha1", "apps/v1"} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			set := makeDaemon("d")
			set.APIVersion, set.ResourceVersion = name, "7"
			b.deletes(set, "x", 0, 1)
			b.work()
			event := b.events()[0]
			want := corev1.ObjectReference{APIVersion: name, Kind: "DaemonSet", Namespace: "ns", Name: "d", UID: set.UID}
			if event.Regarding != want || event.Related == nil || event.Related.Name != "d-node-0000-abcdefgh" || event.Namespace != "ns" {
				t.Errorf("event %+v, want one about %+v", event, want)
			}
		})
	}
}

// A refusal that repeats is one event with a count; another cause, or another pod, is another event.
func TestLedgerCountsRepeatedWarnings(t *testing.T) {
	b := newBook(t)
	set := makeDaemon("d")
	refuse := func(pod, cause string) {
		b.Note(set, corev1.EventTypeWarning, answers.ReasonFailed, "CreatePod", Entry{
			Related: PodReference("ns", pod, ""), One: pod + ": " + cause, Many: "%s were not created", Why: cause + " " + pod, Cause: cause,
		})
		b.pass(2 * time.Second)
	}
	for range 8 {
		refuse("a", "quota")
	}
	refuse("a", "policy")
	refuse("b", "quota")
	wantStrings(t, "notes", []string{"a: quota", "a: policy", "b: quota"}, b.notes(answers.ReasonFailed))
	events := b.events()
	if series := events[0].Series; series == nil || series.Count != 8 {
		t.Errorf("series %+v, want a count of 8", series)
	}
	if b.posts != 3 || b.patches != 3 {
		t.Errorf("%d posts and %d patches, want 3 each: the count is written at 2, 4 and 8", b.posts, b.patches)
	}
	// An event that expired is written again.
	if err := b.server.Delete(t.Context(), &events[0]); err != nil {
		t.Fatal(err)
	}
	b.pass(seriesInterval)
	refuse("a", "quota")
	if notes := b.notes(answers.ReasonFailed); !slices.Contains(notes, "a: quota") {
		t.Errorf("notes %q, want the repeated refusal", notes)
	}
	b.pass(2 * seriesMemory)
	if len(b.pages) > 0 {
		t.Errorf("%d pages are kept", len(b.pages))
	}
}

// Events without an answer of the API server are written later, in order; refused ones are not retried.
func TestLedgerRetries(t *testing.T) {
	b := newBook(t)
	set := makeDaemon("d")
	b.refuse = errors.New("connection refused")
	b.deletes(set, "x", 0, 3)
	b.work()
	b.pass(10 * time.Second)
	b.deletes(set, "x", 3, 5)
	b.refuse = nil
	b.pass(time.Minute)
	wantStrings(t, "notes", []string{"Deleted 5 pods (x): d-node-0000-abcdefgh, d-node-0001-abcdefgh, d-node-0002-abcdefgh, d-node-0003-abcdefgh, d-node-0004-abcdefgh"}, b.notes("SuccessfulDelete"))

	b.refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "e", errors.New("the namespace is being terminated"))
	before := b.posts
	b.deletes(set, "x", 5, 6)
	if b.pass(time.Minute); b.posts != before+1 || len(b.pages) > 0 {
		t.Errorf("%d attempts, %d pages kept; want one and none", b.posts-before, len(b.pages))
	}

	b.refuse = errors.New("connection refused") // permanently
	before = b.posts
	b.deletes(set, "x", 6, 7)
	if b.pass(time.Hour); b.posts > before+ledgerRetries+1 || len(b.pages) > 0 {
		t.Errorf("%d attempts, %d pages kept; want the event dropped", b.posts-before, len(b.pages))
	}
}

// Waiting entries are written when the program ends, and later ones as well.
func TestLedgerIsWrittenAtTheEnd(t *testing.T) {
	b := newBook(t)
	set := makeDaemon("d")
	b.deletes(set, "x", 0, 1)
	b.work()
	b.deletes(set, "x", 1, 3)
	b.Close()
	b.deletes(set, "x", 3, 4)
	if got := len(b.notes("SuccessfulDelete")); got != 3 {
		t.Errorf("notes %q, want three", b.notes("SuccessfulDelete"))
	}
}

// Whatever the text and however long the names, a note fits into an event, and no name is left out.
func TestNotesFit(t *testing.T) {
	hostile := strings.Repeat("denied \x1b[31m", 1<<16)
	for _, length := range []int{1, 20, 63, 253} {
		var entries []Entry
		for i := range 100 {
			name := fmt.Sprintf("%03d%s", i, strings.Repeat("n", length))
			entries = append(entries, Entry{Related: PodReference("ns", name, ""), One: name + ": " + hostile, Many: "Deleted %s", Why: hostile})
		}
		entries = append(entries, Entry{One: hostile})
		var all strings.Builder
		for _, note := range compose(entries) {
			if len(note.text) > noteLimit {
				t.Errorf("a note of %d bytes", len(note.text))
			}
			all.WriteString(note.text)
		}
		for _, e := range entries[:100] {
			if !strings.Contains(all.String(), e.Related.Name) {
				t.Errorf("%s is not named", e.Related.Name)
			}
		}
	}
}

// A page that can never be written is bounded.
func TestLedgerIsBounded(t *testing.T) {
	b := newBook(t)
	b.queue = nil
	set := makeDaemon("d")
	b.deletes(set, "x", 0, 3*ledgerLimit)
	for _, p := range b.pages {
		if len(p.waiting) > ledgerLimit {
			t.Errorf("%d entries wait", len(p.waiting))
		}
	}
}
