// Package placement tests the interlock and the fallback on a real API server: whatever happens
// to the webhook, no pod is ever stored with spec.nodeName, and every node gets its pod.
package placement

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	nodes         = 3
	configuration = "everynode-placement"
)

// A fault takes the webhook away; mend brings it back.
type fault struct {
	inflict func(*labtest.Cluster)
	mend    func(*labtest.Cluster)
	// refusal is what the API server says to an emitted pod meanwhile.
	refusal func(error) error
}

// The refusals of an emitted pod that nobody rewrote.
func interlock(err error) error {
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "cannot be set until all schedulingGates have been cleared") {
		return fmt.Errorf("got %w, want the interlock's 422", err)
	}
	return nil
}

func failedCall(err error) error {
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook") {
		return fmt.Errorf("got %w, want a failed webhook call", err)
	}
	return nil
}

func internalError(err error) error {
	if !apierrors.IsInternalError(err) || strings.Contains(err.Error(), "failed calling webhook") {
		return fmt.Errorf("got %w, want an internal error that names no webhook", err)
	}
	return nil
}

// garbageServer is a webhook whose patch cannot be applied. The certificate is its own.
func garbageServer(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &kind,
			Patch: []byte(`[{"op":"add","path":"/no/such/parent","value":1}]`),
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	return server
}

// pointTo has every entry call a server of a test.
func pointTo(c *labtest.Cluster, server *httptest.Server) {
	c.T.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	found := configurationOf(c)
	for i := range found.Webhooks {
		found.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: ca}
	}
	c.Must(c.Update(c.T.Context(), found))
}

func faults() map[string]fault {
	stop := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Stop(c.T.Context())) }
	restart := func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Restart(c.T.Context())) }
	var deleted, sent *admissionregistrationv1.MutatingWebhookConfiguration
	return map[string]fault{
		"webhook down": {inflict: stop, mend: restart, refusal: failedCall},
		"webhook down and failurePolicy Ignore": {
			inflict: func(c *labtest.Cluster) {
				stop(c)
				setFailurePolicy(c, admissionregistrationv1.Ignore)
			},
			mend: func(c *labtest.Cluster) {
				setFailurePolicy(c, admissionregistrationv1.Fail)
				restart(c)
			},
			refusal: interlock,
		},
		"webhook hangs": {
			inflict: func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Pause()) },
			mend:    func(c *labtest.Cluster) { c.Must(c.Component(lab.Webhook).Resume()) },
			refusal: failedCall,
		},
		"webhook answers garbage": {
			inflict: func(c *labtest.Cluster) {
				sent = configurationOf(c)
				pointTo(c, garbageServer(c.T))
			},
			mend: func(c *labtest.Cluster) {
				found := configurationOf(c)
				found.Webhooks = sent.Webhooks
				c.Must(c.Update(c.T.Context(), found))
			},
			refusal: internalError,
		},
		"webhook configuration deleted": {
			inflict: func(c *labtest.Cluster) {
				deleted = configurationOf(c)
				c.Must(c.Delete(c.T.Context(), deleted))
			},
			mend: func(c *labtest.Cluster) {
				deleted.ObjectMeta = metav1.ObjectMeta{Name: deleted.Name, Labels: deleted.Labels}
				c.Must(c.Create(c.T.Context(), deleted))
			},
			refusal: interlock,
		},
	}
}

func configurationOf(c *labtest.Cluster) *admissionregistrationv1.MutatingWebhookConfiguration {
	c.T.Helper()
	found := &admissionregistrationv1.MutatingWebhookConfiguration{}
	c.Must(c.Get(c.T.Context(), types.NamespacedName{Name: configuration}, found))
	return found
}

func setFailurePolicy(c *labtest.Cluster, policy admissionregistrationv1.FailurePolicyType) {
	c.T.Helper()
	found := configurationOf(c)
	for i := range found.Webhooks {
		found.Webhooks[i].FailurePolicy = &policy
	}
	c.Must(c.Update(c.T.Context(), found))
}

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
	made := nodes
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			c := cluster.With(t)
			prefix := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			fault.inflict(c)
			waitUntilAdmission(c, fault.refusal)
			set := labtest.DaemonSet(prefix)
			c.Make(set)
			checkPlacedBy(c, c.WaitForPods(set, labtest.NodeNames(nodes)...), v1alpha1.PlacedByController)
			waitForCondition(c, set, metav1.ConditionFalse)
			c.WaitForEvent(set, "PlacementAdmissionNotEffective", "")
			checkEffective(c, "0")
			checkOthersUnaffected(c)

			fault.mend(c)
			waitUntilAdmission(c, func(err error) error { return err })
			waitForCondition(c, set, metav1.ConditionTrue)
			checkEffective(c, "1")
			after := labtest.DaemonSet(prefix + "-mended")
			c.Make(after)
			checkPlacedBy(c, c.WaitForPods(after, labtest.NodeNames(nodes)...), v1alpha1.PlacedByWebhook)
		})
		made += 2 * nodes
	}
	cluster.Verdict(witness, made)
}

// With placement left to admission alone, no pod is made while it is away, and all are once it
// is back.
func TestPlacementByWebhookAlone(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes, Placement: lab.PlacementWebhook, Without: []string{lab.Webhook}})
	witness := c.Watch()
	set := labtest.DaemonSet("strict")
	c.Make(set)
	waitForCondition(c, set, metav1.ConditionFalse)
	if pods, err := c.PodsOf(t.Context(), set); err != nil || len(pods) > 0 {
		t.Fatalf("%d pods exist while admission is away (%v), want none", len(pods), err)
	}
	c.Must(c.Component(lab.Webhook).Restart(t.Context()))
	checkPlacedBy(c, c.WaitForPods(set, labtest.NodeNames(nodes)...), v1alpha1.PlacedByWebhook)
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
		t.Errorf("condition %+v, want none: nobody asks admission", condition)
	}
	c.Verdict(witness, nodes)
}

// waitUntilAdmission waits until the API server answers an emitted pod as wanted; what it was
// told of webhooks takes it a moment to act on. The pod is sent as a dry run, with an owner that
// makes it a daemon's.
func waitUntilAdmission(c *labtest.Cluster, wanted func(error) error) {
	c.T.Helper()
	c.Eventually("the API server acts on its webhook configuration", func(ctx context.Context) (string, error) {
		return "", wanted(c.Create(ctx, emitted(), client.DryRunAll))
	})
}

func emitted() *corev1.Pod {
	owner := labtest.DaemonSet("emitter")
	owner.UID = "6a8f2fd4-b7e1-4c2a-9d53-0f2c4f7b1a11"
	template := &daemon.Template{
		Owner:     *metav1.NewControllerRef(owner, v1alpha1.DaemonSetKind),
		Namespace: owner.Namespace, Name: owner.Name, Pod: owner.Spec.Template,
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: lab.NodeName(0), UID: "1"}}
	return daemon.NewPod(template, node, 0, "")
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
		return "it is not there", nil
	})
}

// checkOthersUnaffected creates pods that are none of the webhook's business (S7).
func checkOthersUnaffected(c *labtest.Cluster) {
	c.T.Helper()
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/other"}}}
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: "plain-"}, Spec: spec}
	placed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: "placed-"}, Spec: spec}
	placed.Spec.NodeName = lab.NodeName(0)
	c.Make(plain, placed)
}
