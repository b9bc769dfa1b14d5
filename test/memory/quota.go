package memory

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// counted are the names by which quotas count objects.
var counted = map[history.Resource]corev1.ResourceName{
	history.Pods:                corev1.ResourcePods,
	history.ControllerRevisions: "count/controllerrevisions.apps",
}

// admitQuota is the admission plugin ResourceQuota: it refuses an object for which a quota has no room, and counts others.
func (a *API) admitQuota(of history.Resource, object client.Object, dry bool) error {
	name, limited := counted[of]
	if !limited {
		return nil
	}
	var admitted []*corev1.ResourceQuota
	for _, stored := range a.List(ResourceQuotas) {
		quota := clone(stored).(*corev1.ResourceQuota)
		if _, counts := quota.Spec.Hard[name]; !counts || quota.Namespace != object.GetNamespace() {
			continue
		}
		hard, synced := quota.Status.Hard[name]
		if !synced {
			return forbidden(object, "status unknown for quota: %s, resources: %s", quota.Name, name)
		}
		used := quota.Status.Used[name]
		if used.Value() >= hard.Value() {
			return forbidden(object, "exceeded quota: %s, requested: %s=1, used: %s=%d, limited: %s=%d", quota.Name, name, name, used.Value(), name, hard.Value())
		}
		quota.Status.Used[name] = quantity(used.Value() + 1)
		admitted = append(admitted, quota)
	}
	for _, quota := range admitted {
		if !dry {
			a.store(ResourceQuotas, quota, watch.Modified)
		}
	}
	return nil
}

// SyncQuotas does what the quota controller does: it makes the limits of quotas effective and counts what exists.
func (a *API) SyncQuotas() {
	for _, stored := range a.List(ResourceQuotas) {
		a.Change(stored, func(object client.Object) {
			quota := object.(*corev1.ResourceQuota)
			quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard.DeepCopy(), Used: corev1.ResourceList{}}
			for _, of := range []history.Resource{history.Pods, history.ControllerRevisions} {
				if _, counts := quota.Spec.Hard[counted[of]]; counts {
					quota.Status.Used[counted[of]] = quantity(a.count(of, quota.Namespace))
				}
			}
		})
	}
}

// count returns how many objects a quota counts: finished pods are free.
func (a *API) count(of history.Resource, namespace string) (n int64) {
	for _, object := range a.List(of) {
		pod, isPod := object.(*corev1.Pod)
		if object.GetNamespace() == namespace && (!isPod || !finished(pod)) {
			n++
		}
	}
	return n
}

func quantity(n int64) resource.Quantity { return resource.MustParse(fmt.Sprint(n)) }
