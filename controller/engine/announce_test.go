package engine

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/controller/fixture/statetest"
)

func TestAnnounceReportsToEveryDaemon(t *testing.T) {
	cluster, q, _ := statetest.New()
	for _, name := range []string{"b", "a"} {
		cluster.See(t, makeDaemon(name))
	}
	cluster.See(t, makeDaemon("leaving", deleting))
	cluster.SeeNode(makeNode("n1"))
	q.Drain()
	r := &recorder{}
	flipped := announce(cluster.State, r)

	flipped(false, "the webhook is down")
	if !strings.Contains(r.Notes[0], "the webhook is down") {
		t.Errorf("event %q has no reason", r.Notes[0])
	}
	wantStrings(t, "events", []string{"a: Warning PlacementAdmissionNotEffective", "b: Warning PlacementAdmissionNotEffective"}, r.Drain())
	q.Want(t, nil, []types.UID{"uid-a", "uid-b"}) // for the condition

	flipped(true, "")
	wantStrings(t, "events", []string{"a: Normal PlacementAdmissionEffective", "b: Normal PlacementAdmissionEffective"}, r.Drain())
	q.Want(t, []string{"uid-a on n1", "uid-b on n1"}, []types.UID{"uid-a", "uid-b"}) // waiting cells are planned again
}
