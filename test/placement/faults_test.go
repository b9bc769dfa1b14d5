package placement

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
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
		"webhook fails":                          standIn(failing, fails),
		"webhook fails and failurePolicy Ignore": ignoring(standIn(failing, nil)),
		"webhook answers garbage":                standIn(garbage, internalError),
		"webhook certificate expired":            standIn(outOfDate, expired),
		"webhook configuration deleted": {
			inflict: func(c *labtest.Cluster) {
				deleted = configurationOf(c)
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
			setFailurePolicy(c, admissionregistrationv1.Ignore)
		},
		repair: func(c *labtest.Cluster) {
			f.repair(c)
			setFailurePolicy(c, admissionregistrationv1.Fail)
		},
		refusal: interlock,
	}
}

// standIn is a fault in which a server of the test answers in place of the webhook.
func standIn(start func(testing.TB) *httptest.Server, refusal func(error) error) fault {
	var before []admissionregistrationv1.MutatingWebhook
	return fault{
		inflict: func(c *labtest.Cluster) {
			before = configurationOf(c).Webhooks
			pointTo(c, start(c.T))
		},
		repair: func(c *labtest.Cluster) {
			found := configurationOf(c)
			found.Webhooks = before
			c.Must(c.Update(c.T.Context(), found))
		},
		refusal: refusal,
	}
}

// pointTo makes every entry call a server of a test.
func pointTo(c *labtest.Cluster, server *httptest.Server) {
	c.T.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	found := configurationOf(c)
	for i := range found.Webhooks {
		found.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: ca}
	}
	c.Must(c.Update(c.T.Context(), found))
}

// garbage is a webhook whose patch cannot be applied. The certificate is its own.
func garbage(t testing.TB) *httptest.Server {
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

// failing is a webhook that returns an error.
func failing(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the server is out of order", http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	return server
}

// outOfDate is a webhook whose certificate has expired.
func outOfDate(t testing.TB) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
