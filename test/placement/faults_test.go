package placement

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A fault makes the webhook fail; repair restores it.
type fault struct {
	inflict func(*labtest.Cluster)
	repair  func(*labtest.Cluster)
	// refusal checks the API server's answer to an emitted pod during the fault.
	refusal func(error) error
}

// checkSurvived checks that the controller places pods during the fault, that no request of others fails then, and that
// admission places pods after the repair.
func (f fault) checkSurvived(c *labtest.Cluster, name string, others *others, placedBy string) {
	c.T.Helper()
	prefix := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
	during, after := labtest.DaemonSet(prefix), labtest.DaemonSet(prefix+"-fixed")
	c.Make(during)
	checkPlacedBy(c, c.WaitForPods(during, labtest.NodeNames(nodes)...), v1alpha1.PlacedByController)
	waitForCondition(c, during, metav1.ConditionFalse)
	c.WaitForEvent(during, "PlacementAdmissionNotEffective", "")
	checkEffective(c, "0")
	others.check()

	fixed := time.Now()
	f.repair(c)
	waitUntilAdmission(c, func(err error) error { return err })
	waitForCondition(c, during, metav1.ConditionTrue)
	checkEffective(c, "1")
	c.Make(after)
	checkPlacedBy(c, c.WaitForPods(after, labtest.NodeNames(nodes)...), placedBy)
	c.T.Logf("admission places pods again %v after the fault ended", time.Since(fixed).Round(time.Millisecond))
}

// The refusals of an emitted pod that was not rewritten.
func interlock(err error) error {
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "cannot be set until all schedulingGates have been cleared") {
		return fmt.Errorf("got %w, want the interlock's 422", err)
	}
	return nil
}

func failedCall(err error) error { return failedCallWith(err, "") }

func failedCallWith(err error, cause string) error {
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook") || !strings.Contains(err.Error(), cause) {
		return fmt.Errorf("got %w, want a failed webhook call %s", err, cause)
	}
	return nil
}

func internalError(err error) error {
	if !apierrors.IsInternalError(err) || strings.Contains(err.Error(), "failed calling webhook") {
		return fmt.Errorf("got %w, want an internal error that names no webhook", err)
	}
	return nil
}

func faults() map[string]fault {
	stop := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Stop(c.T.Context())) }
	restart := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Restart(c.T.Context())) }
	pause := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Pause()) }
	resume := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Resume()) }
	expired := func(err error) error { return failedCallWith(err, "certificate has expired") }
	fails := func(err error) error { return failedCallWith(err, "the server is out of order") }
	var deleted *admissionregistrationv1.MutatingWebhookConfiguration
	return map[string]fault{
		"webhook down":                           {stop, restart, failedCall},
		"webhook down and failurePolicy Ignore":  ignoring(fault{inflict: stop, repair: restart}),
		"webhook hangs":                          {pause, resume, failedCall},
		"webhook hangs and failurePolicy Ignore": ignoring(fault{inflict: pause, repair: resume}),
		"webhook fails":                          standIn(labtest.FailingWebhook, fails),
		"webhook fails and failurePolicy Ignore": ignoring(standIn(labtest.FailingWebhook, nil)),
		"webhook answers garbage":                standIn(labtest.GarbageWebhook, internalError),
		"webhook certificate expired":            standIn(labtest.ExpiredWebhook, expired),
		"webhook configuration deleted": {
			inflict: func(c *labtest.Cluster) {
				deleted = c.PlacementWebhooks()
				c.Must(c.Delete(c.T.Context(), deleted))
			},
			repair: func(c *labtest.Cluster) {
				deleted.ObjectMeta = metav1.ObjectMeta{Name: deleted.Name, Labels: deleted.Labels}
				c.Must(c.Create(c.T.Context(), deleted))
			},
			refusal: interlock,
		},
	}
}

// ignoring is a fault under failurePolicy Ignore, where only the interlock refuses the pod.
func ignoring(f fault) fault {
	return fault{
		inflict: func(c *labtest.Cluster) {
			f.inflict(c)
			c.SetPlacementFailurePolicy(admissionregistrationv1.Ignore)
		},
		repair: func(c *labtest.Cluster) {
			f.repair(c)
			c.SetPlacementFailurePolicy(admissionregistrationv1.Fail)
		},
		refusal: interlock,
	}
}

// standIn is a fault in which a server of the test answers in place of the webhook.
func standIn(start func(testing.TB) *httptest.Server, refusal func(error) error) fault {
	var before []admissionregistrationv1.MutatingWebhook
	return fault{
		inflict: func(c *labtest.Cluster) {
			before = c.PlacementWebhooks().Webhooks
			c.CallPlacement(start(c.T))
		},
		repair: func(c *labtest.Cluster) {
			found := c.PlacementWebhooks()
			found.Webhooks = before
			c.Must(c.Update(c.T.Context(), found))
		},
		refusal: refusal,
	}
}
