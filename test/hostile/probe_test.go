package hostile

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// TestProbeOfRefusedDaemons has more DaemonSets than one probe includes, the first by name, whose pods are refused for other
// reasons when admission works again: by a quota, which counts as an answer, and because a service account does not exist, which does not.
func TestProbeOfRefusedDaemons(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes})
	for name, account := range map[string]string{"aaa": "", "aab": "missing"} {
		c.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if account == "" {
			c.Make(&corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "full"},
				Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
			})
			quotaHolds(c, name)
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
		t.Errorf("%d pods, %v: the quota did not refuse any", len(pods), err)
	}
}

// quotaHolds waits until the API server refuses pods of a namespace because of the quota, which takes a moment after its creation.
func quotaHolds(c *labtest.Cluster, namespace string) {
	c.T.Helper()
	c.Eventually("the quota refuses pods", func(ctx context.Context) (string, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "asks"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "pause"}}},
		}
		if err := c.Create(ctx, pod, client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota") {
			return fmt.Sprintf("the error is %v", err), nil
		}
		return "", nil
	})
}

// placed waits until the condition PlacementAdmission has a status.
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
