package takeover

import (
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// state is the state of a daemon that must not change in a handover.
type state struct {
	Pods    map[types.UID]metav1.ObjectMeta
	Status  v1alpha1.DaemonSetStatus
	Records []appsv1.ControllerRevision // to their resourceVersion: they were not changed
}

func (t *trial) states() map[string]state {
	t.T.Helper()
	found := map[string]state{}
	for name, m := range t.fleet {
		t.Must(t.ReadWorkload(t.T.Context(), m.Workload))
		pods, err := t.PodsOf(t.T.Context(), m.Workload)
		t.Must(err)
		records, err := t.RevisionsOf(t.T.Context(), m.Workload)
		t.Must(err)
		metas := map[types.UID]metav1.ObjectMeta{}
		for _, pod := range pods {
			pod.ManagedFields, pod.ResourceVersion, pod.Generation = nil, "", 0 // a kubelet writes its status
			metas[pod.UID] = pod.ObjectMeta
		}
		found[name] = state{metas, countsOf(&m.Status), records}
	}
	return found
}

// change hands native DaemonSets over. The witness sees no pod of the fleet created or deleted, and
// the fleet's state is unchanged. If there are changes meanwhile, there is a period in which neither
// controller serves the DaemonSets.
func (t *trial) change(what, workloads string, meanwhile func(*trial)) {
	t.alone(what, func(t *trial) {
		before, mark := t.states(), t.Mark(t.witness)
		controller := t.Component(lab.Controller)
		if meanwhile != nil {
			t.Must(controller.Stop(t.T.Context()))
		}
		t.Must(t.HandOver(t.T.Context(), workloads))
		if meanwhile != nil {
			meanwhile(t)
			t.Must(controller.Restart(t.T.Context()))
		}
		t.waitUntilSynced()
		if workloads != lab.WorkloadsEverynode {
			t.WaitForIdle(controller)
		}
		for _, deed := range t.Since(t.witness, mark) {
			for name, m := range t.fleet {
				if deed.Daemon == m.UID {
					t.T.Errorf("pod %s of %s was created (%t) or deleted (%t)", deed.Pod, name, deed.Made, !deed.Made)
				}
			}
		}
		if diff := cmp.Diff(before, t.states()); diff != "" {
			t.T.Errorf("changes by the handover (-before, +after):\n%s", diff)
		}
	})
}

// waitUntilSynced makes the current controller sync the whole fleet: each member gets a new generation, which
// the controller observes. The built-in controller does so after it has finished all work, Everynode once it has
// planned it. The status with the new generation has to be correct.
func (t *trial) waitUntilSynced() {
	t.T.Helper()
	for _, m := range t.fleet {
		t.nextGeneration(m.Workload)
	}
	for name, m := range t.fleet {
		t.WaitForWorkload(m.Workload, "its generation", func(*v1alpha1.DaemonSetStatus) bool { return true })
		if !sameCounts(&m.Status, &m.want) {
			t.T.Errorf("the first status of %s is %+v, want %+v", name, m.Status, m.want)
		}
	}
}

// nextGeneration makes a change without consequences.
func (t *trial) nextGeneration(w *labtest.Workload) {
	t.T.Helper()
	t.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { *set.Spec.RevisionHistoryLimit++ })
}

// meanwhile changes DaemonSets while neither controller serves them.
type meanwhile struct {
	robbed, edited *labtest.Workload
	pods           map[string]corev1.Pod // of robbed
}

func (m *meanwhile) prepare(t *trial) {
	m.robbed, m.edited = t.lasting("robbed"), t.lasting("edited")
	m.pods = t.WaitForPods(m.robbed, fleetNodes...)
	t.waitForComplete(m.edited)
}

// happen deletes a pod and changes a template.
func (m *meanwhile) happen(t *trial) {
	pod := m.pods[fleetNodes[1]]
	t.Must(t.Delete(t.T.Context(), &pod))
	t.ChangeWorkload(m.edited, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "example.com/meanwhile" })
	t.WaitForPods(m.robbed, fleetNodes[0], fleetNodes[2])
}

func (m *meanwhile) caughtUp(t *trial) {
	for node, pod := range t.WaitForPods(m.robbed, fleetNodes...) {
		if kept := pod.UID == m.pods[node].UID; kept != (node != fleetNodes[1]) {
			t.T.Errorf("%s: the pod was kept: %t", node, kept)
		}
	}
	t.waitForComplete(m.edited)
	for _, pod := range t.WaitForPods(m.edited, fleetNodes...) {
		if pod.Spec.Containers[0].Image != "example.com/meanwhile" {
			t.T.Errorf("pod %s has image %s", pod.Name, pod.Spec.Containers[0].Image)
		}
	}
}

// lasting creates a DaemonSet on the fleet's nodes that outlives its test.
func (t *trial) lasting(name string, mutators ...func(*v1alpha1.DaemonSet)) *labtest.Workload {
	t.T.Helper()
	native := labtest.DaemonSet(name, append(mutators, onFleet)...).ToApps()
	native.SetGroupVersionKind(labtest.Apps)
	t.Must(t.Create(t.T.Context(), native))
	w := &labtest.Workload{Kind: labtest.Apps}
	w.Namespace, w.Name = native.Namespace, native.Name
	t.Must(t.ReadWorkload(t.T.Context(), w))
	return w
}
