package certs

import (
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
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
	// Each takes cert-manager the better part of a second.
	certManagerRotations = 20
	injectAnnotation     = "cert-manager.io/inject-ca-from"
)

// cert-manager and its cainjector do what they do in a cluster: issue, inject, renew the certificate
// and the CA. Then the CA gets another key, and who makes the certificate changes twice. All the
// while pods are made, each through a new connection.
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
		t.Errorf("the controller's log does not say that it took cert-manager (%v)", err)
	}

	load := startLoad(c)
	phase := func(what string, do func()) {
		begun, before := time.Now(), load.admitted.Load()
		do()
		load.mu.Lock()
		defer load.mu.Unlock()
		t.Logf("%s: %s, %d pods admitted, %d failures so far", what, time.Since(begun).Round(time.Millisecond), load.admitted.Load()-before, len(load.failures))
	}
	phase(fmt.Sprintf("%d certificates", certManagerRotations), func() {
		for range certManagerRotations {
			before := servers.serials(t)
			deleteSecret(c, certs.LeafSecret)
			servers.waitForAnother(c, before)
		}
	})
	phase("the CA renewed, and a certificate of it", func() { renewAuthority(c, servers) })
	phase("the CA with another key, and a certificate of it", func() {
		deleteSecret(c, certs.IssuerSecret)
		waitUntilTrusted(c, 2)
		waitForSettle()
		rotateLeafTo(c, servers, func() { deleteSecret(c, certs.LeafSecret) })
		waitUntilInjected(c)
		waitUntilTrusted(c, 1)
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
		rotateLeafTo(c, servers, func() { c.Must(c.Component(lab.Controller).Restart(t.Context())) })
		waitUntilInjected(c)
	})
	admitted := load.end(t)
	t.Logf("%d pods admitted by %d handshakes, %d not", admitted, servers.handshakes.Load(), len(load.failures))
	c.NothingForbidden()
}

// startCertManager installs its CRDs and runs it until the test ends.
func startCertManager(c *labtest.Cluster) {
	c.T.Helper()
	crds, err := certmanager.CRDs(c.T.Context())
	c.Must(err)
	_, _, err = c.Kubectl(c.T.Context(), "", "apply", "--server-side", "-f", crds)
	c.Must(err)
	_, _, err = c.Kubectl(c.T.Context(), "", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	c.Must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- certmanager.Run(ctx, c.Kubeconfig, c.Config) }()
	c.T.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			c.T.Errorf("cert-manager ended: %v", err)
		}
	})
}

// renewAuthority does what cmctl renew does.
func renewAuthority(c *labtest.Cluster, r *replicas) {
	c.T.Helper()
	scheme := runtime.NewScheme()
	c.Must(certmanagerv1.AddToScheme(scheme))
	objects, err := client.New(c.Config, client.Options{Scheme: scheme})
	c.Must(err)
	before := secretData(c, certs.IssuerSecret)
	c.Eventually("the CA is asked to be renewed", func(ctx context.Context) (string, error) {
		ca := &certmanagerv1.Certificate{}
		if err := objects.Get(ctx, types.NamespacedName{Namespace: namespace, Name: certs.IssuerSecret}, ca); err != nil {
			return "", err
		}
		util.SetCertificateCondition(ca, ca.Generation, certmanagerv1.CertificateConditionIssuing, certmanagermeta.ConditionTrue, "ManuallyTriggered", "a test asks for it")
		return "", objects.Status().Update(ctx, ca)
	})
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
	serials := r.serials(c.T)
	deleteSecret(c, certs.LeafSecret)
	r.waitForAnother(c, serials)
}

func secretData(c *labtest.Cluster, name string) map[string][]byte {
	c.T.Helper()
	secret := &corev1.Secret{}
	c.Must(c.Get(c.T.Context(), types.NamespacedName{Namespace: namespace, Name: name}, secret))
	return secret.Data
}

// waitForSettle is the time that the manual says to wait before what is served is replaced by hand.
func waitForSettle() { time.Sleep(time.Second) }

func waitUntilInjected(c *labtest.Cluster) {
	c.T.Helper()
	c.Eventually("the bundles are left to cainjector", func(ctx context.Context) (string, error) {
		found := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := c.Get(ctx, types.NamespacedName{Name: configuration}, found); err != nil {
			return "", err
		}
		if found.Annotations[injectAnnotation] == "" {
			return "they are not", nil
		}
		for _, entry := range found.Webhooks {
			if len(entry.ClientConfig.CABundle) == 0 {
				return entry.Name + " trusts nobody", nil
			}
		}
		return "", nil
	})
}

// waitUntilTrusted waits until every entry trusts so many CAs.
func waitUntilTrusted(c *labtest.Cluster, cas int) {
	c.T.Helper()
	c.Eventually(fmt.Sprintf("%d CAs are trusted", cas), func(ctx context.Context) (string, error) {
		found := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := c.Get(ctx, types.NamespacedName{Name: configuration}, found); err != nil {
			return "", err
		}
		for _, entry := range found.Webhooks {
			if have := strings.Count(string(entry.ClientConfig.CABundle), "BEGIN CERTIFICATE"); have != cas {
				return fmt.Sprintf("%s trusts %d", entry.Name, have), nil
			}
		}
		return "", nil
	})
}
