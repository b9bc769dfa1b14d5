package certs

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// The number of certificates after which the CA is rotated.
const perAuthority = 10

// The certificate is replaced repeatedly, and its CA with every tenth, in the ways that a
// user has, while pods and DaemonSets are created continuously, each through a new connection.
func TestSelfManagedRotation(t *testing.T) {
	c := labtest.Start(t, lab.Options{
		Nodes: 1, Certificates: lab.CertificatesSelfManaged,
		ExtraArgs: map[string][]string{lab.Controller: {"--webhook-ca-settle=1s"}},
	})
	leafRotations := rotations(t)
	servers := startReplicas(c)
	servers.register(c)
	waitUntilAdmitted(c)
	load := startLoad(c)

	begun := time.Now()
	for i := range leafRotations {
		if i%perAuthority == perAuthority-1 {
			rotateLeafTo(c, servers, func() { deleteSecret(c, certs.AuthoritySecret) })
			continue
		}
		before := servers.serials(t)
		deleteSecret(c, certs.LeafSecret)
		servers.waitForAnother(c, before)
	}
	took := time.Since(begun)
	admitted := load.end(t)
	t.Logf("%d certificates and %d CAs in %s: %d pods and DaemonSets admitted by %d handshakes, %d not",
		leafRotations, leafRotations/perAuthority, took.Round(time.Millisecond), admitted, servers.handshakes.Load(), len(load.failures))
	if handshakes := servers.handshakes.Load(); handshakes < 2*admitted { // a pod and a DaemonSet each
		t.Errorf("%d handshakes for %d pods and as many DaemonSets: connections were not closed, so the test proves nothing", handshakes, admitted)
	}
	if admitted < int64(leafRotations) {
		t.Errorf("%d pods and DaemonSets were admitted during %d rotations, want more: the test proves nothing", admitted, leafRotations)
	}
	c.NothingForbidden()
}

func deleteSecret(c *labtest.Cluster, name string) {
	c.T.Helper()
	c.Must(c.Delete(c.T.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}, client.GracePeriodSeconds(0)))
}
