package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/test/labtest"
	"github.com/everynode/everynode/webhook"
)

const (
	namespace  = v1alpha1.SystemNamespace
	placement  = "everynode-placement"
	validation = "everynode-validation"
)

// rotations is how often the certificate is replaced under load; make faults does it a hundred times.
func rotations(t testing.TB) int {
	t.Helper()
	text := os.Getenv("EVERYNODE_ROTATIONS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("EVERYNODE_ROTATIONS: %v", err)
	}
	return n
}

// replicas are two webhooks at one address, with the product's handler and source of
// certificates, each with its own watch of the Secret. They take turns, and close every connection after
// one answer, because the API server would keep it for hours. So each admission is a handshake, which
// verifies the certificate that is served at that moment with the CAs that are trusted.
type replicas struct {
	url        string
	sources    []certs.Source
	handshakes atomic.Int64
}

func startReplicas(c *labtest.Cluster) *replicas {
	c.T.Helper()
	r := &replicas{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range 2 {
		source, err := certs.NewSecretSource(c.Config, namespace, certs.LeafSecret)
		c.Must(err)
		r.sources = append(r.sources, source)
		running.Go(func() { _ = source.Start(ctx) })
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	c.Must(err)
	server := &http.Server{
		Handler:           webhook.Handler(logr.Discard(), nil, nil),
		ReadHeaderTimeout: labtest.Patience,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return r.sources[r.handshakes.Add(1)%int64(len(r.sources))].GetCertificate(hello)
			},
		},
		// HTTP/2 would share connections, and lose requests when one is closed.
		Protocols: &http.Protocols{},
	}
	server.Protocols.SetHTTP1(true)
	server.SetKeepAlivesEnabled(false)
	running.Go(func() { _ = server.ServeTLS(listener, "", "") })
	c.T.Cleanup(func() {
		_ = server.Close()
		cancel()
		running.Wait()
	})
	r.url = "https://" + listener.Addr().String()
	return r
}

// register makes every entry of both configurations call the replicas, without changing caBundle. A
// failed call refuses the object, also where the product's configuration would ignore the failure.
func (r *replicas) register(c *labtest.Cluster) {
	c.T.Helper()
	c.Eventually("the webhook configurations call the replicas", func(ctx context.Context) (string, error) {
		placing, validating, err := webhookConfigurations(ctx, c)
		if err != nil {
			return "", err
		}
		for i := range placing.Webhooks {
			placing.Webhooks[i].ClientConfig.URL = new(r.url + webhook.PlacementPath)
		}
		for i := range validating.Webhooks {
			validating.Webhooks[i].ClientConfig.URL = new(r.url + webhook.ValidationPath)
			validating.Webhooks[i].FailurePolicy = new(admissionregistrationv1.Fail)
		}
		return "", errors.Join(c.Update(ctx, placing), c.Update(ctx, validating))
	})
	c.Eventually("every replica has a certificate", func(context.Context) (string, error) {
		for _, source := range r.sources {
			if err := source.Ready(); err != nil {
				return "", err
			}
		}
		return "", nil
	})
}

func webhookConfigurations(ctx context.Context, c *labtest.Cluster) (*admissionregistrationv1.MutatingWebhookConfiguration, *admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	placing, validating := &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}
	return placing, validating, errors.Join(
		c.Get(ctx, types.NamespacedName{Name: placement}, placing),
		c.Get(ctx, types.NamespacedName{Name: validation}, validating))
}

// eachTrusts names the entry of the two configurations that does not satisfy the condition.
func eachTrusts(ctx context.Context, c *labtest.Cluster, wanted func(bundle []byte) bool) (string, error) {
	placing, validating, err := webhookConfigurations(ctx, c)
	if err != nil {
		return "", err
	}
	for _, entry := range placing.Webhooks {
		if !wanted(entry.ClientConfig.CABundle) {
			return entry.Name + " does not", nil
		}
	}
	for _, entry := range validating.Webhooks {
		if !wanted(entry.ClientConfig.CABundle) {
			return entry.Name + " does not", nil
		}
	}
	return "", nil
}

func (r *replicas) leaf(t testing.TB, i int) *x509.Certificate {
	t.Helper()
	pair, err := r.sources[i].GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func (r *replicas) serials(t testing.TB) []string {
	t.Helper()
	var serials []string
	for i := range r.sources {
		serials = append(serials, r.leaf(t, i).SerialNumber.String())
	}
	return serials
}

// waitForAnother waits until every replica serves another certificate than before.
func (r *replicas) waitForAnother(c *labtest.Cluster, before []string) {
	c.T.Helper()
	c.Eventually("another certificate is served", func(context.Context) (string, error) {
		for i, serial := range r.serials(c.T) {
			if serial == before[i] {
				return "the former one is", nil
			}
		}
		return "", nil
	})
}

// rotateLeafTo runs a function and waits until a certificate of another CA is served.
func rotateLeafTo(c *labtest.Cluster, r *replicas, do func()) {
	c.T.Helper()
	before := r.leaf(c.T, 0).AuthorityKeyId
	do()
	c.Eventually("another CA's certificate is served", func(context.Context) (string, error) {
		for i := range r.sources {
			if slices.Equal(r.leaf(c.T, i).AuthorityKeyId, before) {
				return "the former CA's is", nil
			}
		}
		return "", nil
	})
}

// load creates pods and DaemonSets, from several goroutines, until it is stopped.
type load struct {
	stop     chan struct{}
	all      sync.WaitGroup
	admitted atomic.Int64
	mu       sync.Mutex
	failures []error
}

const sides = 3

func startLoad(c *labtest.Cluster) *load {
	l := &load{stop: make(chan struct{})}
	for range sides {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := admit(context.Background(), c); err != nil {
					l.mu.Lock()
					l.failures = append(l.failures, err)
					l.mu.Unlock()
				} else {
					l.admitted.Add(1)
				}
			}
		})
	}
	return l
}

// end returns how many of both were admitted, and fails the test for each that was not.
func (l *load) end(t testing.TB) int64 {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	for i, failure := range l.failures {
		if i == 5 {
			t.Errorf("and %d more", len(l.failures)-i)
			break
		}
		t.Errorf("not admitted: %v", failure)
	}
	return l.admitted.Load()
}

// admit creates a daemon's pod and a DaemonSet by dry runs, which pass all of admission.
// Without the webhook the interlock refuses the pod.
func admit(ctx context.Context, c *labtest.Cluster) error {
	if err := c.Create(ctx, labtest.Emitted(), client.DryRunAll); err != nil {
		return err
	}
	return c.Create(ctx, labtest.DaemonSet("validated"), client.DryRunAll)
}

// waitUntilAdmitted waits until a pod is admitted; a changed configuration takes a moment to become effective.
func waitUntilAdmitted(c *labtest.Cluster) {
	c.T.Helper()
	c.Eventually("a pod is admitted", func(ctx context.Context) (string, error) { return "", admit(ctx, c) })
}
