package engine

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestAnnounceTellsEveryDaemon(t *testing.T) {
	w, q, _ := newTestWorld()
	for _, name := range []string{"b", "a"} {
		see(t, w, makeDaemon(name))
	}
	see(t, w, makeDaemon("leaving", deleting))
	w.nodeSeen(makeNode("n1"))
	q.drain()
	r := &recorder{}
	tell := announce(w, r)

	tell(false, "the webhook is down")
	if !strings.Contains(r.Notes[0], "the webhook is down") {
		t.Errorf("event %q does not say why", r.Notes[0])
	}
	wantStrings(t, "events", []string{"a: Warning PlacementAdmissionNotEffective", "b: Warning PlacementAdmissionNotEffective"}, r.Drain())
	wantQueued(t, q, nil, []types.UID{"uid-a", "uid-b"}) // for the condition

	tell(true, "")
	wantStrings(t, "events", []string{"a: Normal PlacementAdmissionEffective", "b: Normal PlacementAdmissionEffective"}, r.Drain())
	wantQueued(t, q, []string{"uid-a on n1", "uid-b on n1"}, []types.UID{"uid-a", "uid-b"}) // what waited is tried again
}
