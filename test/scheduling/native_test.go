package scheduling

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A DaemonSet of apps/v1 that kube-controller-manager serves and that names the scheduler in its template:
// its pods are placed and rolled out, one for each node, and one that is created manually waits.
func native(t *testing.T, all *stage) {
	s := &stage{Cluster: all.With(t)}
	nodes := []string{s.node("native-0"), s.node("native-1"), s.node("native-2")}
	const label = "lab.everynode.dev/native"
	for _, node := range nodes {
		s.Must(s.LabelNode(t.Context(), node, label, "true"))
	}
	w := s.MakeWorkload(labtest.Apps, labtest.DaemonSet("native", func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.SchedulerName = v1alpha1.SchedulerName
		set.Spec.Template.Spec.NodeSelector = map[string]string{label: "true"}
	}))
	s.WaitForPods(w, nodes...)

	s.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Image = "example.com/native:2"
	})
	s.WaitForWorkload(w, "that every pod is updated", func(status *v1alpha1.DaemonSetStatus) bool {
		return status.UpdatedNumberScheduled == 3 && status.NumberAvailable == 3
	})
	pods := s.WaitForPods(w, nodes...)
	for node, pod := range pods {
		if image := pod.Spec.Containers[0].Image; image != "example.com/native:2" {
			t.Errorf("pod %s on %s runs %s", pod.Name, node, image)
		}
	}

	// kube-controller-manager deletes excess pods; it is stopped for this part.
	manager := s.Component(lab.ControllerManager)
	s.Must(manager.Pause())
	twin := bare("native-by-hand")
	holder := pods[nodes[0]]
	twin.Labels, twin.OwnerReferences = holder.Labels, []metav1.OwnerReference{*metav1.NewControllerRef(w, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
	twin.Spec.SchedulerName = v1alpha1.SchedulerName
	daemon.Pin(&twin.Spec, nodes[0])
	s.make(twin)
	s.waitFor(twin, "node native-0: already has pod "+holder.Name+" of the same DaemonSet.")
	s.Must(manager.Resume())
	s.WaitForPods(w, nodes...)
}
