package simulation

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// stop begins or ends the emergency stop.
func (c *Cluster) stop(on bool) {
	stored := c.api.Get(history.ConfigMaps, v1alpha1.SystemNamespace, v1alpha1.StopName)
	if on == (stored != nil) {
		return
	}
	c.mark(history.Edited, map[bool]string{true: "the emergency stop begins", false: "the emergency stop ends"}[on])
	if !on {
		c.api.Delete(stored, memory.Background)
		return
	}
	if c.api.Get(memory.Namespaces, "", v1alpha1.SystemNamespace) == nil {
		c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}})
	}
	c.create(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.StopName},
		Data:       map[string]string{v1alpha1.StopKey: "true", v1alpha1.StopReasonKey: "an incident"},
	})
}

func (c *Cluster) toggleStop() {
	c.stop(c.api.Get(history.ConfigMaps, v1alpha1.SystemNamespace, v1alpha1.StopName) == nil)
}
