package certs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const nodes = 2

// An invalid certificate is reported and keeps no daemon from its nodes, and once it is valid again no
// further action is needed. The test creates the certificates, because the controller would fix them.
func TestBadCertificates(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{
		Nodes: nodes, Certificates: lab.CertificatesSelfManaged, Without: []string{lab.Webhook},
		ExtraArgs: map[string][]string{lab.Controller: {"--webhook-certificates=none"}},
	})
	witness := cluster.Watch()
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "a stranger's")
	good := func(c *labtest.Cluster) { putSecret(c, ca.serving(c.T, time.Hour)) }
	trust(cluster, ca)
	good(cluster)
	restart(cluster)

	faults := map[string]fault{
		"expired": {
			inflict: func(c *labtest.Cluster) {
				putSecret(c, ca.serving(c.T, -time.Minute))
				restart(c)
			},
			refusal: "certificate has expired", says: "its certificate has expired",
		},
		"wrong ca": {
			inflict: func(c *labtest.Cluster) {
				putSecret(c, stranger.serving(c.T, time.Hour))
				restart(c)
			},
			refusal: "unknown authority", says: "another CA than the webhook configuration's caBundle holds",
		},
		"secret missing": {
			inflict: func(c *labtest.Cluster) {
				deleteSecret(c, certs.LeafSecret)
				c.T.Cleanup(restartUnready(c))
			},
			refusal: "tls: internal error", says: "it has no certificate",
		},
	}
	made := 0
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			c := cluster.With(t)
			waitUntilAdmitted(c)
			fault.inflict(c)
			prefix := strings.ReplaceAll(name, " ", "-")
			set, after := labtest.DaemonSet(prefix), labtest.DaemonSet(prefix+"-fixed")
			fault.checkReported(c, set)

			good(c)
			fixed := time.Now()
			c.WaitForStatus(set, conditionSays(metav1.ConditionTrue, ""))
			t.Logf("placement by admission works again %s after the certificate became valid", time.Since(fixed).Round(10*time.Millisecond))
			c.Make(after)
			checkPlacedBy(c, after, v1alpha1.PlacedByWebhook)
		})
		made += 2 * nodes
	}
	cluster.Verdict(witness, made)
	cluster.NothingForbidden()
}

// A fault is a certificate that the API server does not accept.
type fault struct {
	inflict func(*labtest.Cluster)
	// refusal is the API server's answer, says the controller's message.
	refusal, says string
}

// checkReported creates a DaemonSet during the fault: the controller places its pods, and reports why.
func (f fault) checkReported(c *labtest.Cluster, set *v1alpha1.DaemonSet) {
	c.T.Helper()
	c.Eventually("pods are refused", func(ctx context.Context) (string, error) {
		if err := admit(ctx, c); err == nil || !strings.Contains(err.Error(), f.refusal) {
			return fmt.Sprintf("error %v, want one with %q", err, f.refusal), nil
		}
		return "", nil
	})
	c.Make(set)
	checkPlacedBy(c, set, v1alpha1.PlacedByController)
	c.WaitForStatus(set, conditionSays(metav1.ConditionFalse, f.says))
	c.WaitForEvent(set, "PlacementAdmissionNotEffective", f.says)
}

// restart closes the API server's connections, which would outlive the certificate,
// and drops the former certificate from memory.
func restart(c *labtest.Cluster) {
	c.T.Helper()
	c.Must(c.Component(lab.Webhook).Restart(c.T.Context()))
}

// restartUnready starts a webhook that is not ready until there is a certificate; the returned function
// waits until it is.
func restartUnready(c *labtest.Cluster) (wait func()) {
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*labtest.Patience)
	go func() {
		defer cancel()
		ended <- c.Component(lab.Webhook).Restart(ctx)
	}()
	return func() {
		if err := <-ended; err != nil {
			c.T.Errorf("the webhook is not ready although there is a certificate: %v", err)
		}
	}
}

func conditionSays(status metav1.ConditionStatus, text string) func(*v1alpha1.DaemonSetStatus) bool {
	return func(s *v1alpha1.DaemonSetStatus) bool {
		condition := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPlacementAdmission)
		return condition != nil && condition.Status == status && strings.Contains(condition.Message, text)
	}
}

func checkPlacedBy(c *labtest.Cluster, set *v1alpha1.DaemonSet, want string) {
	c.T.Helper()
	for node, pod := range c.WaitForPods(set, labtest.NodeNames(nodes)...) {
		if got := pod.Annotations[v1alpha1.PlacedByAnnotation]; got != want {
			c.T.Errorf("pod %s on %s was placed by %q, want %q", pod.Name, node, got, want)
		}
	}
}
