package takeover

import (
	"context"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
)

// deletion deletes pods and history.
func deletion(how string) func(*trial) {
	return func(t *trial) {
		w := t.lasting("deleted-" + how)
		t.waitForComplete(w)
		_, _, err := t.Kubectl(t.T.Context(), "", "delete", "daemonset", w.Name, "--cascade="+how, "--timeout=60s")
		t.Must(err)
		t.WaitForPods(w)
		t.Eventually("its history is deleted", func(ctx context.Context) (string, error) {
			records, err := t.RevisionsOf(ctx, w)
			return missingUnless(len(records) == 0, "%d records", len(records)), err
		})
	}
}

// orphans are pods and a record whose DaemonSet was deleted with orphaning, to be adopted by one of
// the same name.
type orphans struct {
	name    string
	pods    map[string]types.UID
	records []appsv1.ControllerRevision
}

func (o *orphans) leave(t *trial) {
	w := t.lasting(o.name)
	t.waitForComplete(w)
	o.pods, o.records = uidsOf(t.WaitForPods(w, fleetNodes...)), t.records(w)
	_, _, err := t.Kubectl(t.T.Context(), "", "delete", "daemonset", w.Name, "--cascade=orphan", "--timeout=60s")
	t.Must(err)
	t.WaitForPods(w)
}

func (o *orphans) adopt(t *trial) {
	w := t.lasting(o.name)
	t.waitForComplete(w)
	if diff := cmp.Diff(o.pods, uidsOf(t.WaitForPods(w, fleetNodes...))); diff != "" {
		t.T.Errorf("orphans were replaced (-before, +after):\n%s", diff)
	}
	if after := t.records(w); len(after) != 1 || after[0].UID != o.records[0].UID {
		t.T.Errorf("the history was %s and is %s", describe(o.records), describe(after))
	}
}

func orphansOfOurs(t *trial) {
	ours := &orphans{name: "orphans-of-ours"}
	ours.leave(t)
	ours.adopt(t)
}
