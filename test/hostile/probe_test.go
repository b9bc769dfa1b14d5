package hostile

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// TestProbeOfRefusedDaemons has more DaemonSets than are asked at a time refused for reasons of their own, the first
// by name, when admission comes back: by a quota, which is an answer, and for want of a service account, which is none.
func TestProbeOfRefusedDaemons(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes})
	for name, account := range map[string]string{"aaa": "", "aab": "missing"} {
		c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if account == "" {
			c.Make(&corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "full"},
				Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
			})
		}
		for i := range 8 {
			c.Make(labtest.DaemonSet(fmt.Sprintf("refused-%d", i), func(set *v1alpha1.DaemonSet) {
				set.Namespace, set.Spec.Template.Spec.ServiceAccountName = name, account
			}))
		}
	}
	webhook := c.Component(lab.Webhook)
	c.Must(webhook.Stop(t.Context()))
	during := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("during"))
	c.WaitForPods(during, labtest.NodeNames(nodes)...)
	placed(c, during, metav1.ConditionFalse)
	c.Must(webhook.Restart(t.Context()))
	placed(c, during, metav1.ConditionTrue)
	var set v1alpha1.DaemonSet
	c.Must(c.Get(t.Context(), client.ObjectKey{Namespace: "aaa", Name: "refused-0"}, &set))
	if pods, err := c.PodsOf(t.Context(), &set); err != nil || len(pods) != 0 {
		t.Errorf("%d pods, %v: the quota refuses none", len(pods), err)
	}
}

// placed waits until the condition PlacementAdmission is so.
func placed(c *labtest.Cluster, set *labtest.Workload, want metav1.ConditionStatus) {
	c.T.Helper()
	c.Eventually("PlacementAdmission is "+string(want), func(ctx context.Context) (string, error) {
		var now v1alpha1.DaemonSet
		if err := c.Get(ctx, client.ObjectKeyFromObject(&set.DaemonSet), &now); err != nil {
			return "", err
		}
		condition := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionPlacementAdmission)
		if condition == nil || condition.Status != want {
			return fmt.Sprintf("it is %+v", condition), nil
		}
		return "", nil
	})
}
