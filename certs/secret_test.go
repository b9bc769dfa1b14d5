package certs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var leafKey = types.NamespacedName{Namespace: testNamespace, Name: LeafSecret}

func leafData(t testing.TB, leaf *pair) map[string][]byte {
	t.Helper()
	key, err := leaf.keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{corev1.TLSCertKey: certificatePEM(leaf.Certificate, nil), corev1.TLSPrivateKeyKey: key}
}

func tlsSecret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: leafKey.Namespace, Name: leafKey.Name}, Type: corev1.SecretTypeTLS, Data: data}
}

// What is served after each state of the Secret.
func TestSecretKeepsTheLastGoodPair(t *testing.T) {
	ca := makeCA(t, begin)
	first, second, expired := makeLeaf(t, ca, begin), makeLeaf(t, ca, begin.Add(day)), makeLeaf(t, ca, begin.Add(-100*day))
	broken := leafData(t, first)
	broken[corev1.TLSPrivateKeyKey] = leafData(t, second)[corev1.TLSPrivateKeyKey]

	tests := map[string]struct {
		becomes   []*corev1.Secret
		want      *pair
		wantReady string // of the error; "" when ready
	}{
		"missing":                   {becomes: []*corev1.Secret{nil}, wantReady: "the Secret system/everynode-webhook-tls does not exist"},
		"empty":                     {becomes: []*corev1.Secret{tlsSecret(nil)}, wantReady: "delete it so that it is created again"},
		"not read":                  {wantReady: "has not been read yet"},
		"a pair":                    {becomes: []*corev1.Secret{tlsSecret(leafData(t, first))}, want: first},
		"renewed":                   {becomes: []*corev1.Secret{tlsSecret(leafData(t, first)), tlsSecret(leafData(t, second))}, want: second},
		"broken after it was good":  {becomes: []*corev1.Secret{tlsSecret(leafData(t, first)), tlsSecret(broken)}, want: first},
		"gone after it was good":    {becomes: []*corev1.Secret{tlsSecret(leafData(t, first)), nil}, want: first},
		"fixed":                     {becomes: []*corev1.Secret{tlsSecret(broken), tlsSecret(leafData(t, second))}, want: second},
		"expired, and nothing else": {becomes: []*corev1.Secret{tlsSecret(leafData(t, expired))}, want: expired},
		"expired after it was good": {becomes: []*corev1.Secret{tlsSecret(leafData(t, first)), tlsSecret(leafData(t, expired))}, want: first},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			source := FromSecret(nil, leafKey).(*secret)
			source.now = func() time.Time { return begin.Add(2 * day) }
			for _, state := range test.becomes {
				source.take(t.Context(), state)
			}
			got, err := source.GetCertificate(nil)
			if ready := source.Ready(); (ready == nil) != (test.wantReady == "") || ready != nil && !strings.Contains(ready.Error(), test.wantReady) {
				t.Errorf("Ready: %v, want %q", ready, test.wantReady)
			}
			if test.want == nil {
				if err == nil || !source.Expiration().IsZero() {
					t.Errorf("%v is served until %s (%v), want no certificate", got, source.Expiration(), err)
				}
				return
			}
			if err != nil || !got.Leaf.Equal(test.want.Certificate) || !source.Expiration().Equal(test.want.NotAfter) {
				t.Errorf("%v is served until %s (%v), want %v", got, source.Expiration(), err, test.want.SerialNumber)
			}
		})
	}
}

// The source follows the Secret through the API, also when it is created after the start, and no other Secret.
func TestSecretIsFollowed(t *testing.T) {
	watched := make(chan struct{})
	c := interceptor.NewClient(newFakeClient(t), interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			defer close(watched) // the fake client reports no earlier changes
			return c.Watch(ctx, list, options...)
		},
	})
	source := FromSecret(c, leafKey)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Start: %v", err)
		}
	}()
	<-watched
	ca := makeCA(t, time.Now())
	waitFor := func(what string, holds func() bool) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for !holds() {
			if time.Now().After(deadline) {
				t.Fatalf("timed out after 30 s: %s (ready: %v)", what, source.Ready())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	serves := func(leaf *pair) func() bool {
		return func() bool {
			got, err := source.GetCertificate(nil)
			return err == nil && got.Leaf.Equal(leaf.Certificate)
		}
	}
	stranger := tlsSecret(leafData(t, makeLeaf(t, ca, time.Now())))
	stranger.Name = "another"
	first, second := makeLeaf(t, ca, time.Now()), makeLeaf(t, ca, time.Now())
	object := tlsSecret(leafData(t, first))
	for _, o := range []*corev1.Secret{stranger, object} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	waitFor("the first is served", serves(first))
	object.Data = leafData(t, second)
	if err := c.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	waitFor("the second is served", serves(second))
	if err := c.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	waitFor("its deletion is noticed", func() bool {
		s := source.(*secret)
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.problem != nil
	})
	if !serves(second)() {
		t.Error("the last good certificate is not served any more")
	}
}

// The metric has no series without a certificate; otherwise it is the expiration of the served one.
func TestExpirationIsAMetric(t *testing.T) {
	source := FromSecret(nil, leafKey).(*secret)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewExpirationCollector(source))
	const name = "everynode_webhook_certificate_expiration_timestamp_seconds"
	if n, err := testutil.GatherAndCount(registry, name); n != 0 || err != nil {
		t.Errorf("%d series (%v), want none", n, err)
	}
	leaf := makeLeaf(t, makeCA(t, begin), begin)
	source.take(t.Context(), tlsSecret(leafData(t, leaf)))
	if got := testutil.ToFloat64(NewExpirationCollector(source)); got != float64(leaf.NotAfter.Unix()) {
		t.Errorf("%s is %v, want %v", name, got, leaf.NotAfter.Unix())
	}
}
