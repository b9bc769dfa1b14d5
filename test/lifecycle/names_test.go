package lifecycle

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// kinds are the kinds that the lab serves.
var kinds = []schema.GroupVersionKind{labtest.Everynode, labtest.Apps}

// namesVanish: no pod has the name of an earlier one, neither after a deletion, nor after one while no
// controller ran, nor when its DaemonSet is recreated.
func namesVanish(c *labtest.Cluster) {
	names := map[string]bool{}
	for _, kind := range kinds {
		follow := func(how string, w *labtest.Workload) corev1.Pod {
			pod := c.WaitForPods(w, labtest.NodeNames(nodes)...)[lab.NodeName(0)]
			if names[pod.Name] {
				c.T.Errorf("%s, %s: the pod has the name %s of a former one", kind.Group, how, pod.Name)
			}
			names[pod.Name] = true
			return pod
		}
		w := c.MakeWorkload(kind, labtest.DaemonSet("vanishing", onFirst))
		pod := follow("new", w)
		c.Must(c.Delete(c.T.Context(), &pod))
		waitUntilGone(c, &pod)
		pod = follow("deleted", w)

		controller := c.Component(lab.Controller)
		for range 2 {
			c.Must(controller.Stop(c.T.Context()))
			c.Must(c.Delete(c.T.Context(), &pod, client.GracePeriodSeconds(0)))
			waitUntilGone(c, &pod)
			c.Must(controller.Restart(c.T.Context()))
			pod = follow("deleted without a controller", w)
		}
		c.DeleteWorkload(w)
		follow("of a recreated DaemonSet", c.MakeWorkload(kind, labtest.DaemonSet("vanishing", onFirst)))
	}
}

// nameTaken: an object with the name that a pod needs keeps it, and the pod gets the alternative name. When both are taken, the event
// and the condition name it.
func nameTaken(c *labtest.Cluster) {
	set := labtest.DaemonSet("taken", onFirst)
	c.Make(set)
	former := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(0)]
	var foreign []*corev1.Pod
	for _, name := range daemon.NewTemplate(daemon.FromEverynode(set), "").PodNames(lab.NodeName(0), string(former.UID)) {
		foreign = append(foreign, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: name},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/foreign"}}},
		})
	}
	first, spare := foreign[0], foreign[1]
	c.Make(first, spare)
	c.Must(c.Delete(c.T.Context(), &former))
	c.WaitForEvent(set, "PodNameTaken", spare.Name)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		degraded := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
		return degraded != nil && degraded.Reason == "PodNameTaken"
	})
	c.Must(c.Delete(c.T.Context(), spare, client.GracePeriodSeconds(0)))
	if pod := c.WaitForPods(set, labtest.NodeNames(nodes)...)[lab.NodeName(0)]; pod.Name != spare.Name {
		c.T.Errorf("the pod has the name %s, want %s, which is free", pod.Name, spare.Name)
	}
	var still corev1.Pod
	if err := c.Get(c.T.Context(), client.ObjectKeyFromObject(first), &still); err != nil || still.UID != first.UID {
		c.T.Errorf("the other owner's pod was changed: %v", err)
	}
}

// ephemeralVolume: the claim of an ephemeral volume has the name of its pod. While the claim of a deleted pod
// still exists, the successor has its own, and runs.
func ephemeralVolume(c *labtest.Cluster) {
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "lifecycle-local"}, Provisioner: "kubernetes.io/no-provisioner",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	c.Make(class)
	for i := range 4 {
		c.Make(localVolume(fmt.Sprintf("lifecycle-local-%d", i), class.Name, lab.NodeName(0)))
	}
	for _, kind := range kinds {
		w := c.MakeWorkload(kind, labtest.DaemonSet("scratch", func(set *v1alpha1.DaemonSet) {
			set.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: lab.NodeName(0)}
			set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
				VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class.Name,
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				}},
			}}}}
		}))
		pod := c.WaitForPods(w, lab.NodeName(0))[lab.NodeName(0)]
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name + "-scratch"}}
		holdClaim := func(finalizers string) {
			c.Must(client.IgnoreNotFound(c.Patch(c.T.Context(), claim, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":`+finalizers+`}}`)))))
		}
		holdClaim(`["everynode.dev/test"]`)
		c.Must(c.Delete(c.T.Context(), &pod))
		waitUntilGone(c, &pod)
		successor := c.WaitForPods(w, lab.NodeName(0))[lab.NodeName(0)]
		if err := c.Get(c.T.Context(), client.ObjectKeyFromObject(claim), claim); err != nil || claim.DeletionTimestamp == nil {
			c.T.Errorf("%s: the claim of the former pod is not held: deleted at %v, %v", kind.Group, claim.DeletionTimestamp, err)
		}
		if successor.Name == pod.Name {
			c.T.Errorf("%s: the successor has the name of the former pod", kind.Group)
		}
		holdClaim("null")
		c.DeleteWorkload(w)
	}
}

func localVolume(name, class, node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: class,
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disks/" + name}},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}}},
	}}
}
