package controller

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/everynode/everynode/controller/caches"
	"github.com/everynode/everynode/controller/engine"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
)

// The queue gives cells of higher priority first, whatever came first.
func TestCellsAreQueuedByPriority(t *testing.T) {
	queue := priorityqueue.New[daemon.CellKey]("test")
	defer queue.ShutDown()
	o := newSources(caches.New(model.Kinds{Everynode: true}), nil)
	if err := (cellSource{o}).Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	for _, priority := range []int32{5, 2000001000, -1, 100} {
		o.addCell(daemon.CellKey{Node: fmt.Sprint(priority)}, priority)
	}
	var got []string
	for range 4 {
		cell, _ := queue.Get()
		got = append(got, cell.Node)
		queue.Done(cell)
	}
	fixture.WantStrings(t, "nodes by priority", []string{"2000001000", "100", "5", "-1"}, got)
}

// An observer gets what an informer has of an object, also of one whose delete event was missed, and nothing of what
// it does not ask for.
func TestObserversAreCalled(t *testing.T) {
	var got []string
	all := handle(engine.Observer[*corev1.Node]{
		Added:   func(node *corev1.Node) { got = append(got, "added "+node.Name) },
		Updated: func(former, node *corev1.Node) { got = append(got, "updated "+former.Name+" "+node.Name) },
		Deleted: func(node *corev1.Node) { got = append(got, "deleted "+node.Name) },
	})
	for _, handler := range []toolscache.ResourceEventHandler{all, handle(engine.Observer[*corev1.Node]{})} {
		handler.OnAdd(fixture.Node("a"), true)
		handler.OnUpdate(fixture.Node("a"), fixture.Node("b"))
		handler.OnDelete(fixture.Node("b"))
		handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "c", Obj: fixture.Node("c")})
	}
	if diff := cmp.Diff([]string{"added a", "updated a b", "deleted b", "deleted c"}, got); diff != "" {
		t.Errorf("calls (-want, +got):\n%s", diff)
	}
}
