package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/api/util"
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmanagermeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/test/certs/certmanager"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	injectAnnotation   = "cert-manager.io/inject-ca-from"
	webhookCertificate = "everynode-webhook"
)

// cert-manager and its cainjector work as in a cluster: they issue, inject, and renew the certificate
// and the CA. Then the CA gets another key, and the source of the certificate changes twice. In the
// meantime pods and DaemonSets are created, each through a new connection.
func TestCertManager(t *testing.T) {
	c := labtest.Start(t, lab.Options{
		Nodes: 1, Certificates: lab.CertificatesAuto, Without: []string{lab.Controller, lab.Webhook},
		ExtraArgs: map[string][]string{lab.Controller: {"--webhook-ca-settle=1s"}},
	})
	startCertManager(c)
	c.Must(c.Component(lab.Controller).Restart(t.Context()))
	c.Must(c.Component(lab.Webhook).Restart(t.Context()))
	servers := startReplicas(c)
	servers.register(c)
	waitUntilInjected(c)
	waitUntilAdmitted(c)
	if log, err := os.ReadFile(c.Component(lab.Controller).LogPath()); err != nil || !strings.Contains(string(log), `mode="cert-manager"`) {
		t.Errorf("the controller's log does not report that it selected cert-manager (%v)", err)
	}

	load := startLoad(c)
	phase := func(what string, do func()) {
		begun, before := time.Now(), load.admitted.Load()
		do()
		load.mu.Lock()
		defer load.mu.Unlock()
		t.Logf("%s: %s, %d pods and DaemonSets admitted, %d failures so far", what, time.Since(begun).Round(time.Millisecond), load.admitted.Load()-before, len(load.failures))
	}
	leafRotations := rotations(t)
	phase(fmt.Sprintf("%d certificates", leafRotations), func() {
		for range leafRotations {
			renewLeaf(c, servers)
		}
	})
	phase("the CA renewed, and a certificate of it", func() { renewAuthority(c, servers) })
	phase("the CA with another key, and a certificate of it", func() {
		before := secretData(c, certs.IssuerSecret)
		deleteSecret(c, certs.IssuerSecret)
		waitUntilIssuerTrusted(c, before)
		waitForSettle()
		rotateLeafTo(c, servers, func() { renew(c, webhookCertificate) })
		waitUntilInjected(c)
	})
	phase("to self-managed", func() {
		c.Must(c.Component(lab.Controller).Stop(t.Context()))
		var selfManaged *lab.Component
		rotateLeafTo(c, servers, func() {
			var err error
			selfManaged, err = c.Replica(t.Context(), lab.Controller, "--webhook-certificates=self-managed")
			c.Must(err)
		})
		c.Must(selfManaged.Stop(t.Context()))
	})
	phase("back to cert-manager", func() {
		c.Must(c.Component(lab.Controller).Restart(t.Context()))
		// cert-manager adopts a valid certificate that it finds, and issues its own when renewal is due.
		rotateLeafTo(c, servers, func() { renew(c, webhookCertificate) })
		waitUntilInjected(c)
	})
	admitted := load.end(t)
	t.Logf("%d pods and DaemonSets admitted by %d handshakes, %d not", admitted, servers.handshakes.Load(), len(load.failures))
	c.NothingForbidden()
}

// startCertManager installs its CRDs and runs it until the test ends.
func startCertManager(c *labtest.Cluster) {
	c.T.Helper()
	crds, err := certmanager.CRDs(c.T.Context())
	c.Must(err)
	_, _, err = c.Kubectl(c.T.Context(), "", "apply", "--server-side", "-f", crds)
	c.Must(err)
	c.WaitForAPI("cert-manager.io/v1", "certificates", "certificaterequests", "issuers", "clusterissuers")
	c.WaitForAPI("acme.cert-manager.io/v1", "challenges", "orders")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- certmanager.Run(ctx, c.Kubeconfig, c.Config) }()
	c.T.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			c.T.Errorf("cert-manager exited: %v", err)
		}
	})
}

// renew does the same as cmctl renew, once cert-manager has finished earlier work.
func renew(c *labtest.Cluster, name string) {
	c.T.Helper()
	scheme := runtime.NewScheme()
	c.Must(certmanagerv1.AddToScheme(scheme))
	objects, err := client.New(c.Config, client.Options{Scheme: scheme})
	c.Must(err)
	c.Eventually(name+" is marked for renewal", func(ctx context.Context) (string, error) {
		certificate := &certmanagerv1.Certificate{}
		if err := objects.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, certificate); err != nil {
			return "", err
		}
		if util.GetCertificateCondition(certificate, certmanagerv1.CertificateConditionIssuing) != nil {
			return "it is being issued", nil
		}
		util.SetCertificateCondition(certificate, certificate.Generation, certmanagerv1.CertificateConditionIssuing, certmanagermeta.ConditionTrue, "ManuallyTriggered", "requested by a test")
		return "", objects.Status().Update(ctx, certificate)
	})
}

// renewLeaf waits until every replica serves another certificate of the same CA.
func renewLeaf(c *labtest.Cluster, r *replicas) {
	c.T.Helper()
	before := r.serials(c.T)
	renew(c, webhookCertificate)
	r.waitForAnother(c, before)
}

// renewAuthority gives the CA another certificate with the same key, which then signs the webhook's
// certificate.
func renewAuthority(c *labtest.Cluster, r *replicas) {
	c.T.Helper()
	before := secretData(c, certs.IssuerSecret)
	renew(c, certs.IssuerSecret)
	c.Eventually("the CA is renewed, with its key", func(context.Context) (string, error) {
		now := secretData(c, certs.IssuerSecret)
		if string(now[corev1.TLSCertKey]) == string(before[corev1.TLSCertKey]) {
			return "it is not", nil
		}
		if string(now[corev1.TLSPrivateKeyKey]) != string(before[corev1.TLSPrivateKeyKey]) {
			return "its key is another one", nil
		}
		return "", nil
	})
	renewLeaf(c, r)
}

func secretData(c *labtest.Cluster, name string) map[string][]byte {
	c.T.Helper()
	secret := &corev1.Secret{}
	c.Must(c.Get(c.T.Context(), types.NamespacedName{Namespace: namespace, Name: name}, secret))
	return secret.Data
}

// waitForSettle is how long the manual recommends to wait before the served certificate is replaced manually.
func waitForSettle() { time.Sleep(time.Second) }

func waitUntilInjected(c *labtest.Cluster) {
	c.T.Helper()
	c.Eventually("cainjector maintains the bundles", func(ctx context.Context) (string, error) {
		placing, validating, err := webhookConfigurations(ctx, c)
		if err != nil {
			return "", err
		}
		if placing.Annotations[injectAnnotation] == "" || validating.Annotations[injectAnnotation] == "" {
			return "it does not", nil
		}
		return eachTrusts(ctx, c, func(bundle []byte) bool { return len(bundle) > 0 })
	})
}

// waitUntilIssuerTrusted waits until cert-manager has a new CA, and every entry trusts
// it.
func waitUntilIssuerTrusted(c *labtest.Cluster, before map[string][]byte) {
	c.T.Helper()
	c.Eventually("cert-manager's new CA is trusted", func(ctx context.Context) (string, error) {
		secret := &corev1.Secret{}
		if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: certs.IssuerSecret}, secret); err != nil {
			return "", err
		}
		issuer := secret.Data[corev1.TLSCertKey]
		if len(issuer) == 0 || bytes.Equal(issuer, before[corev1.TLSCertKey]) {
			return "there is none", nil
		}
		return eachTrusts(ctx, c, func(bundle []byte) bool { return bytes.Contains(bundle, issuer) })
	})
}
