// Package placement tests the interlock and the fallback on a real API server: however the
// webhook fails, no pod is ever stored with spec.nodeName, and every node gets its pod.
package placement

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const nodes = 3

func TestPlacementSurvivesItsWebhook(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: nodes})
	witness := cluster.Watch()

	t.Run("webhook up", func(t *testing.T) {
		c := cluster.With(t)
		waitUntilAdmission(c, func(err error) error { return err })
		set := labtest.DaemonSet("up")
		c.Make(set)
		checkPlacedBy(c, c.WaitForPods(set, labtest.NodeNames(nodes)...), v1alpha1.PlacedByWebhook)
		waitForCondition(c, set, metav1.ConditionTrue)
	})
	t.Run("bare pod of the manual", func(t *testing.T) { checkBarePod(t, cluster.With(t)) })
	made := nodes
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			c := cluster.With(t)
			others := createOthers(c)
			fault.inflict(c)
			waitUntilAdmission(c, fault.refusal)
			fault.checkSurvived(c, name, others, v1alpha1.PlacedByWebhook)
		})
		made += 2 * nodes
	}
	cluster.Verdict(witness, made)
}

// With placement only by admission, no pod is created while it is unreachable, and all are once it
// works again.
func TestPlacementByWebhookAlone(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes, Placement: lab.PlacementWebhook, Without: []string{lab.Webhook}})
	witness := c.Watch()
	set := labtest.DaemonSet("strict")
	c.Make(set)
	waitForCondition(c, set, metav1.ConditionFalse)
	if pods, err := c.PodsOf(t.Context(), set); err != nil || len(pods) > 0 {
		t.Fatalf("%d pods exist while admission is unreachable (%v), want none", len(pods), err)
	}
	fixed := time.Now()
	c.Must(c.Component(lab.Webhook).Restart(t.Context()))
	checkPlacedBy(c, c.WaitForPods(set, labtest.NodeNames(nodes)...), v1alpha1.PlacedByWebhook)
	t.Logf("every pod is created and ready %v after admission was started", time.Since(fixed).Round(time.Millisecond))
	waitForCondition(c, set, metav1.ConditionTrue)
	c.Verdict(witness, nodes)
}

// Direct placement needs no webhook and no configuration of one.
func TestPlacementDirect(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes, Placement: lab.PlacementDirect})
	witness := c.Watch()
	set := labtest.DaemonSet("direct")
	c.Make(set)
	checkPlacedBy(c, c.WaitForPods(set, labtest.NodeNames(nodes)...), v1alpha1.PlacedByController)
	c.Must(c.Get(t.Context(), client.ObjectKeyFromObject(set), set))
	if condition := meta.FindStatusCondition(set.Status.Conditions, v1alpha1.ConditionPlacementAdmission); condition != nil {
		t.Errorf("condition %+v, want none: admission is not used", condition)
	}
	c.Verdict(witness, nodes)
}

// waitUntilAdmission waits until the API server gives an emitted pod the expected answer; a changed
// webhook configuration takes a moment to become effective. The pod is sent as a dry run, with an owner
// that makes it a daemon's.
func waitUntilAdmission(c *labtest.Cluster, wanted func(error) error) {
	c.T.Helper()
	c.Eventually("the webhook configuration is effective", func(ctx context.Context) (string, error) {
		return "", wanted(c.Create(ctx, labtest.Emitted(), client.DryRunAll))
	})
}

func checkPlacedBy(c *labtest.Cluster, pods map[string]corev1.Pod, want string) {
	c.T.Helper()
	for node, pod := range pods {
		if got := pod.Annotations[v1alpha1.PlacedByAnnotation]; got != want {
			c.T.Errorf("pod %s on %s was placed by %q, want %q", pod.Name, node, got, want)
		}
		if len(pod.Spec.SchedulingGates) > 0 {
			c.T.Errorf("pod %s keeps gates %v", pod.Name, pod.Spec.SchedulingGates)
		}
	}
}

func waitForCondition(c *labtest.Cluster, set *v1alpha1.DaemonSet, want metav1.ConditionStatus) {
	c.T.Helper()
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		return meta.IsStatusConditionPresentAndEqual(status.Conditions, v1alpha1.ConditionPlacementAdmission, want)
	})
}

// checkEffective compares the controller's gauge.
func checkEffective(c *labtest.Cluster, want string) {
	c.T.Helper()
	metrics := c.Component(lab.Controller).PortAddress(1)
	c.Eventually("everynode_placement_admission_effective is "+want, func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metrics+"/metrics", nil)
		if err != nil {
			return "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "everynode_placement_admission_effective ") {
				if got := strings.Fields(line)[1]; got != want {
					return "it is " + got, nil
				}
				return "", nil
			}
		}
		return "it does not exist", nil
	})
}
