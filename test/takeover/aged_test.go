package takeover

import (
	"bytes"
	"context"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/test/labtest"
)

// aged is a DaemonSet of a cluster that was upgraded from Kubernetes 1.33 or older. These releases
// recorded "creationTimestamp": null, and later ones do not (k/k#134773). An upgraded kube-controller-manager
// therefore does not recognize the record any more. It creates another one of the same template,
// and does not replace the pods, because they have the template's generation.
type aged struct {
	*labtest.Workload
	pods map[string]types.UID
}

func (a *aged) prepare(t *trial) {
	a.Workload = t.lasting("aged")
	t.waitForComplete(a.Workload)
	a.pods = uidsOf(t.WaitForPods(a.Workload, fleetNodes...))
}

// age gives the record the form that an older Kubernetes would have given it.
func (a *aged) age(t *trial) {
	record := t.records(a.Workload)[0]
	old := record.DeepCopy()
	old.ObjectMeta = metav1.ObjectMeta{Namespace: record.Namespace, Name: record.Name, Labels: record.Labels, OwnerReferences: record.OwnerReferences}
	old.Data.Raw = bytes.Replace(record.Data.Raw, []byte(`"metadata":{`), []byte(`"metadata":{"creationTimestamp":null,`), 1)
	t.Must(t.Delete(t.T.Context(), &record))
	t.Must(t.Create(t.T.Context(), old))
}

// knownByItsRecord: Everynode recognizes the record and its pods.
func (a *aged) knownByItsRecord(t *trial) { a.check(t, 1) }

// recordedAgain: the built-in controller creates a second record, as after an upgrade.
func (a *aged) recordedAgain(t *trial) { a.check(t, 2) }

// recordedOnce: Everynode merges the two records, and labels the pods accordingly.
func (a *aged) recordedOnce(t *trial) {
	record := a.check(t, 1)
	for _, pod := range t.WaitForPods(a.Workload, fleetNodes...) {
		if got, want := pod.Labels[appsv1.ControllerRevisionHashLabelKey], record.Labels[appsv1.ControllerRevisionHashLabelKey]; got != want {
			t.T.Errorf("pod %s has revision %s, want %s", pod.Name, got, want)
		}
	}
}

// check waits until a controller has synced the DaemonSet and there are this many records, and returns
// the last one. No pod may have been replaced.
func (a *aged) check(t *trial, records int) *appsv1.ControllerRevision {
	t.T.Helper()
	t.nextGeneration(a.Workload)
	t.waitForComplete(a.Workload)
	var found []appsv1.ControllerRevision
	t.Eventually("the records are as expected", func(ctx context.Context) (missing string, err error) {
		found, err = t.RevisionsOf(ctx, a.Workload)
		return missingUnless(len(found) == records, "there are %s", describe(found)), err
	})
	if diff := cmp.Diff(a.pods, uidsOf(t.WaitForPods(a.Workload, fleetNodes...))); diff != "" {
		t.T.Errorf("pods were replaced (-before, +after):\n%s", diff)
	}
	return &found[records-1]
}
