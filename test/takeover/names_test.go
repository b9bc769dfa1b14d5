package takeover

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// namesVanish: the successor of a pod never has its name, whichever controller replaces it and
// however often.
func namesVanish(t *trial) {
	w := t.MakeWorkload(labtest.Apps, labtest.DaemonSet("named", onFleet))
	node, names := fleetNodes[0], map[string]bool{}
	follows := func(how string) corev1.Pod {
		pod := t.WaitForPods(w, fleetNodes...)[node]
		if names[pod.Name] {
			t.T.Errorf("%s: the pod has the name %s of a former one", how, pod.Name)
		}
		names[pod.Name] = true
		return pod
	}
	pod := follows("new")
	for range 3 {
		t.Must(t.Delete(t.T.Context(), &pod))
		t.waitUntilGone(&pod)
		pod = follows("deleted")
	}
	pod.Status.Phase = corev1.PodFailed
	t.Must(t.Client.Status().Update(t.T.Context(), &pod))
	t.waitUntilGone(&pod)
	follows("failed")
	t.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "example.com/next" })
	t.waitForComplete(w)
	last := follows("outdated")
	for name := range names {
		err := t.Get(t.T.Context(), types.NamespacedName{Namespace: w.Namespace, Name: name}, &corev1.Pod{})
		if name != last.Name && !apierrors.IsNotFound(err) {
			t.T.Errorf("pod %s exists again: %v", name, err)
		}
	}
}

// namesakes: DaemonSets of both kinds may have the same name.
func namesakes(t *trial) {
	for _, kind := range []schema.GroupVersionKind{labtest.Everynode, labtest.Apps} {
		w := t.MakeWorkload(kind, labtest.DaemonSet("namesake", onFleet))
		t.waitForComplete(w)
		t.WaitForPods(w, fleetNodes...)
	}
}

// waitUntilGone waits until no object has this name.
func (t *trial) waitUntilGone(object client.Object) {
	t.T.Helper()
	t.Eventually(object.GetName()+" is gone", func(ctx context.Context) (string, error) {
		if err := t.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return "it still exists", err
		}
		return "", nil
	})
}

// race: two independent controllers replace the same pods, and derive the same names. The
// witness verifies that there is one pod for each node (S1).
func race(t *trial) {
	rival, err := t.Replica(t.T.Context(), lab.Controller, "--leader-elect=false")
	t.Must(err)
	const rounds = 10
	mark := t.Mark(t.witness)
	w := t.MakeWorkload(labtest.Apps, labtest.DaemonSet("raced", onFleet))
	t.waitForComplete(w)
	for range rounds {
		before := t.WaitForPods(w, fleetNodes...)
		t.Must(t.DeleteAllOf(t.T.Context(), &corev1.Pod{}, client.InNamespace(w.Namespace), client.MatchingLabels{"app": w.Name}))
		t.Eventually("every pod is replaced", func(ctx context.Context) (string, error) {
			pods, err := t.PodsOf(ctx, w)
			for i := range pods {
				if hasPod(before, pods[i].UID) {
					return pods[i].Name + " exists", err
				}
			}
			return missingUnless(len(pods) == 3, "%d pods", len(pods)), err
		})
	}
	t.WaitForPods(w, fleetNodes...)
	t.WaitForIdle(rival)
	made, due := 0, 3*(rounds+1)
	for _, deed := range t.Since(t.witness, mark) {
		if deed.Daemon == w.UID && deed.Made {
			made++
		}
	}
	// A controller that is late by a whole round may create a pod under a name of that round. Controllers that
	// derive different names create twice as many pods.
	if t.T.Logf("%d pods were created, want %d", made, due); made > due+due/3 {
		t.T.Error("the controllers do not derive the same names")
	}
	t.Must(rival.Stop(t.T.Context()))
}
