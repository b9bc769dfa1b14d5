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

// aged is a DaemonSet of a cluster that came from Kubernetes 1.33 or older. These recorded
// "creationTimestamp": null, and later ones do not (k/k#134773). A kube-controller-manager that is
// upgraded therefore does not know the record any more. It makes another one of the same template
// and leaves its pods alone, for they carry the template's generation.
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

// knownByItsRecord: Everynode knows the record, and the pods by it.
func (a *aged) knownByItsRecord(t *trial) { a.check(t, 1) }

// recordedAnew: the built-in controller does what an upgrade has it do.
func (a *aged) recordedAnew(t *trial) { a.check(t, 2) }

// recordedOnce: Everynode makes one of the two records, and calls the pods by it.
func (a *aged) recordedOnce(t *trial) {
	record := a.check(t, 1)
	for _, pod := range t.WaitForPods(a.Workload, fleetNodes...) {
		if got, want := pod.Labels[appsv1.ControllerRevisionHashLabelKey], record.Labels[appsv1.ControllerRevisionHashLabelKey]; got != want {
			t.T.Errorf("pod %s is of revision %s, want %s", pod.Name, got, want)
		}
	}
}

// check waits until a controller has seen to the DaemonSet and its records are so many, and gives
// the last of them. No pod was replaced.
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
