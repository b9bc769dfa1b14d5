package labtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
)

// placementConfiguration is the name of the configuration of the webhooks that place pods.
const placementConfiguration = "everynode-placement"

// PlacementWebhooks reads the configuration of the webhooks that place pods.
func (c *Cluster) PlacementWebhooks() *admissionregistrationv1.MutatingWebhookConfiguration {
	c.T.Helper()
	found := &admissionregistrationv1.MutatingWebhookConfiguration{}
	c.Must(c.Get(c.T.Context(), types.NamespacedName{Name: placementConfiguration}, found))
	return found
}

// SetPlacementFailurePolicy changes the failurePolicy of all of them.
func (c *Cluster) SetPlacementFailurePolicy(policy admissionregistrationv1.FailurePolicyType) {
	c.T.Helper()
	found := c.PlacementWebhooks()
	for i := range found.Webhooks {
		found.Webhooks[i].FailurePolicy = &policy
	}
	c.Must(c.Update(c.T.Context(), found))
}

// CallPlacement makes all of them call a server of a test.
func (c *Cluster) CallPlacement(server *httptest.Server) {
	c.T.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	found := c.PlacementWebhooks()
	for i := range found.Webhooks {
		found.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: ca}
	}
	c.Must(c.Update(c.T.Context(), found))
}

// GarbageWebhook is a webhook whose patch cannot be applied. The certificate is its own.
func GarbageWebhook(t testing.TB) *httptest.Server {
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

// FailingWebhook is a webhook that returns an error.
func FailingWebhook(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the server is out of order", http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	return server
}

// ExpiredWebhook is a webhook whose certificate has expired.
func ExpiredWebhook(t testing.TB) *httptest.Server {
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
