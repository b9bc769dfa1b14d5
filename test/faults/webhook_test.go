package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/certs"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/observer"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// bystanders are clients that create and delete pods which have nothing to do with Everynode, from many connections. The checker
// judges how long their requests took (S7).
type bystanders struct {
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu      sync.Mutex
	created int
	failed  []error
}

// bystanderPause is the time between two pods of a bystander.
const bystanderPause = 100 * time.Millisecond

func (r *run) startBystanders() *bystanders {
	r.T.Helper()
	config := rest.CopyConfig(r.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: observer.Bystander, Groups: []string{"system:masters"}}
	api, err := kubernetes.NewForConfig(config)
	r.Must(err)
	ctx, stop := context.WithCancel(r.T.Context())
	b := &bystanders{stop: stop}
	for range 2 {
		b.ended.Go(func() { b.work(ctx, api) })
	}
	r.T.Cleanup(b.end)
	return b
}

func (b *bystanders) work(ctx context.Context, api kubernetes.Interface) {
	for ctx.Err() == nil {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "bystander-"},
			Spec:       corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{Name: "main", Image: "example.com/bystander"}}},
		}
		// A request that its client gives up is answered with 504.
		whole := context.WithoutCancel(ctx)
		made, err := api.CoreV1().Pods(labtest.Namespace).Create(whole, pod, metav1.CreateOptions{})
		if err == nil {
			err = api.CoreV1().Pods(labtest.Namespace).Delete(whole, made.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		}
		b.note(err)
		select {
		case <-ctx.Done():
		case <-time.After(bystanderPause):
		}
	}
}

func (b *bystanders) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.created++
	} else {
		b.failed = append(b.failed, err)
	}
}

func (b *bystanders) end() {
	b.stop()
	b.ended.Wait()
}

// check fails the test if a request of a bystander failed, or if there were none.
func (b *bystanders) check(r *run) {
	r.T.Helper()
	b.end()
	r.happened("bystanders created pods", b.created > 5)
	if len(b.failed) > 0 {
		r.T.Errorf("S7: %d requests of bystanders failed, the first with: %v", len(b.failed), b.failed[0])
	}
}

// webhookFault is a fault of the webhook that places pods. After it has begun, no pod that is sent for admission is placed by it.
type webhookFault struct {
	begin, end func(*run)
}

func (w webhookFault) test(t *testing.T, long bool, policies ...admissionregistrationv1.FailurePolicyType) {
	t.Helper()
	for _, policy := range policies {
		t.Run(string(policy), func(t *testing.T) {
			fault{long: long, inflict: func(r *run) { w.inflict(r, policy) }, judge: placedByController}.test(t)
		})
	}
}

var bothPolicies = []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore}

func (w webhookFault) inflict(r *run, policy admissionregistrationv1.FailurePolicyType) {
	before := r.PlacementWebhooks()
	r.T.Cleanup(func() { r.restoreWebhooks(before) }) // also when the test fails
	others := r.startBystanders()
	r.during("the webhook fails", func() {
		r.SetPlacementFailurePolicy(policy)
		w.begin(r)
		r.churn(2)
		r.rollAll()
		for _, w := range r.fleet {
			r.waitUntilDone(w)
		}
		r.churn(6)
		w.end(r)
		r.restoreWebhooks(before)
	})
	r.rollAll()
	others.check(r)
}

// restoreWebhooks makes the placement webhooks as they were.
func (r *run) restoreWebhooks(before *admissionregistrationv1.MutatingWebhookConfiguration) {
	r.T.Helper()
	ctx := context.WithoutCancel(r.T.Context())
	now := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := r.Get(ctx, client.ObjectKeyFromObject(before), now); err != nil {
		again := before.DeepCopy()
		again.ObjectMeta = metav1.ObjectMeta{Name: before.Name, Labels: before.Labels}
		r.Must(r.Create(ctx, again))
		return
	}
	now.Webhooks = before.Webhooks
	r.Must(r.Update(ctx, now))
}

// placedByController shows that the webhook was not effective: the controller pinned pods itself.
func placedByController(r *run, h *history.History) {
	placed := 0
	for i := range h.Records {
		if change := h.Records[i].Change; change != nil && change.Object.GetAnnotations()[v1alpha1.PlacedByAnnotation] == v1alpha1.PlacedByController {
			placed++
		}
	}
	r.happened("the controller placed pods", placed > 0)
}

// F7: the webhook does not listen.
func TestF07WebhookDown(t *testing.T) {
	webhookFault{
		begin: func(r *run) { r.Must(r.Component(lab.Webhook).Stop(r.T.Context())) },
		end:   func(r *run) { r.Must(r.Component(lab.Webhook).Restart(r.T.Context())) },
	}.test(t, true, bothPolicies...)
}

// F7: the webhook accepts connections and never answers.
func TestF07WebhookHangs(t *testing.T) {
	w := webhookFault{
		begin: func(r *run) {
			r.Must(r.Component(lab.Webhook).Pause())
			r.T.Cleanup(func() { _ = r.Component(lab.Webhook).Resume() })
		},
		end: func(r *run) { r.Must(r.Component(lab.Webhook).Resume()) },
	}
	w.test(t, false, admissionregistrationv1.Ignore)
	w.test(t, true, admissionregistrationv1.Fail)
}

// F7: the webhook answers later than the API server waits.
func TestF07WebhookSlow(t *testing.T) {
	webhookFault{begin: func(r *run) { r.CallPlacement(slowWebhook(r, 4*time.Second)) }, end: func(*run) {}}.test(t, true, bothPolicies...)
}

// slowWebhook is the real one, late.
func slowWebhook(r *run, late time.Duration) *httptest.Server {
	r.T.Helper()
	target, err := url.Parse("https://" + r.Component(lab.Webhook).Address())
	r.Must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.Config.CAData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	through := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) { request.SetURL(target) }, Transport: transport,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		select {
		case <-time.After(late):
		case <-request.Context().Done():
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		through.ServeHTTP(w, request)
	}))
	r.T.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return server
}

// standIn is a server in place of the webhook.
func standIn(start func(testing.TB) *httptest.Server) webhookFault {
	return webhookFault{begin: func(r *run) { r.CallPlacement(start(r.T)) }, end: func(*run) {}}
}

// F7: the webhook answers with an error.
func TestF07WebhookAnswersErrors(t *testing.T) {
	standIn(labtest.FailingWebhook).test(t, true, bothPolicies...)
}

// F7: the webhook's patch cannot be applied.
func TestF07WebhookAnswersGarbage(t *testing.T) {
	standIn(labtest.GarbageWebhook).test(t, true, bothPolicies...)
}

// F7, F8: the webhook's certificate has expired.
func TestF07WebhookCertificateExpired(t *testing.T) {
	standIn(labtest.ExpiredWebhook).test(t, true, bothPolicies...)
}

// F7: the webhook's certificate is of another CA than its configuration trusts.
func TestF07WebhookCertificateUntrusted(t *testing.T) {
	webhookFault{begin: func(r *run) {
		found := r.PlacementWebhooks()
		stranger := labtest.FailingWebhook(r.T)
		for i := range found.Webhooks {
			found.Webhooks[i].ClientConfig.URL = new(stranger.URL)
		}
		r.Must(r.Update(r.T.Context(), found))
	}, end: func(*run) {}}.test(t, true, bothPolicies...)
}

// F7: the webhook's configuration is deleted: the API server does not call it at all.
func TestF07WebhookConfigurationDeleted(t *testing.T) {
	webhookFault{begin: func(r *run) { r.Must(r.Delete(r.T.Context(), r.PlacementWebhooks())) }, end: func(*run) {}}.test(t, true, admissionregistrationv1.Fail)
}

// F8: the webhook's certificate is reissued while everything rolls out. Each time the API server connects again, so that it
// verifies the new one. test/certs replaces it a hundred times under load, and the CA too.
func TestF08CertificateReissued(t *testing.T) {
	fault{long: true, lab: &lab.Options{Nodes: nodes, Certificates: lab.CertificatesSelfManaged}, inflict: func(r *run) {
		others := r.startBystanders()
		r.during("the webhook's certificate is reissued", func() {
			for range 3 {
				before := r.leaf()
				r.Must(r.Delete(r.T.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: certs.LeafSecret}}))
				r.rollAll()
				r.Eventually("there is another certificate", func(ctx context.Context) (string, error) {
					r.churn(1)
					now, err := r.readLeaf(ctx)
					if err != nil || bytes.Equal(now, before) {
						return "not yet", err
					}
					return "", nil
				})
				r.Must(r.Component(lab.Webhook).Restart(r.T.Context()))
				r.churn(3)
			}
		})
		others.check(r)
	}}.test(t)
}

func (r *run) readLeaf(ctx context.Context) ([]byte, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: certs.LeafSecret}}
	err := r.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	return secret.Data[corev1.TLSCertKey], err
}

func (r *run) leaf() []byte {
	r.T.Helper()
	leaf, err := r.readLeaf(r.T.Context())
	r.Must(err)
	return leaf
}
