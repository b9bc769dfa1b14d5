package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const testNamespace = "system"

var testConfigurations = []configurationID{testHook, {validating: true, name: "validation"}}

// stage is an API server with webhook configurations, a clock, and the memory of every certificate
// that was ever in the webhook's Secret: a server that is cut off serves it until it expires.
type stage struct {
	t      *testing.T
	client client.Client
	// behind is the same API server for writes of others than the keepers.
	behind client.WithWatch
	now    time.Time
	// writes counts what keepers wrote; meddle is called before and after each, and may fail it.
	writes int
	meddle func(write int, done bool) error

	served []*x509.Certificate
	// distrusting are the configurations from which another client removed the trust.
	distrusting map[string]bool
	// trustedSince is when a configuration began to trust a CA, by their names.
	trustedSince map[string]time.Time
	first        bool // the first certificate was issued
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, behind: newFakeClient(t), now: begin, distrusting: map[string]bool{}, trustedSince: map[string]time.Time{}}
	s.client = interceptor.NewClient(s.behind, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return s.write(object, func() error { return c.Create(ctx, object, options...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			return s.write(object, func() error { return c.Update(ctx, object, options...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return s.write(object, func() error { return c.Patch(ctx, object, patch, options...) })
		},
	})
	return s
}

func newFakeClient(t *testing.T) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionregistrationv1.AddToScheme(scheme), addCertManager(scheme)); err != nil {
		t.Fatal(err)
	}
	byName := func(object client.Object) []string { return []string{object.GetName()} }
	return fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(newMutating(), newValidating()).
		WithIndex(&corev1.Secret{}, metav1.ObjectNameField, byName).
		WithIndex(&admissionregistrationv1.MutatingWebhookConfiguration{}, metav1.ObjectNameField, byName).
		WithIndex(&admissionregistrationv1.ValidatingWebhookConfiguration{}, metav1.ObjectNameField, byName).
		Build()
}

func newMutating() *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: testConfigurations[0].name},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{Name: "a.test"}, {Name: "b.test"}},
	}
}

func newValidating() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: testConfigurations[1].name},
		Webhooks:   []admissionregistrationv1.ValidatingWebhook{{Name: "c.test"}},
	}
}

func (s *stage) newKeeper() *selfManaged {
	return &selfManaged{
		policy: testPolicy, client: s.client, namespace: testNamespace,
		configurations: configurations{client: s.client, ids: testConfigurations},
		now:            func() time.Time { return s.now },
		retire:         func(context.Context) error { return nil },
	}
}

func (s *stage) write(object client.Object, do func() error) error {
	s.writes++
	write := s.writes
	if s.meddle != nil {
		if err := s.meddle(write, false); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if _, ok := object.(*corev1.Secret); !ok {
		delete(s.distrusting, object.GetName())
	}
	s.check()
	if s.meddle != nil {
		return s.meddle(write, true)
	}
	return nil
}

// check verifies that every entry of every configuration trusts each certificate that may be served.
func (s *stage) check() {
	s.t.Helper()
	bundles := s.bundles()
	s.noteTrust(bundles)
	if secret := s.secret(LeafSecret); secret != nil {
		if leaf, _ := leafOf(secret); leaf != nil && !bundle(s.served).has(leaf.Certificate) {
			s.checkSigner(leaf.Certificate, bundles)
			s.served = append(s.served, leaf.Certificate)
		}
	}
	for _, leaf := range s.served {
		if !alive(leaf, s.now) {
			continue
		}
		for name, texts := range bundles {
			for i, text := range texts {
				if s.distrusting[name] {
					continue
				}
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(text)
				_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: s.now, DNSName: testPolicy.names[0]})
				if err != nil {
					s.t.Fatalf("at %s, entry %d of %s does not trust a certificate of %s that may be served: %v", s.now, i, name, leaf.NotBefore, err)
				}
			}
		}
	}
}

// noteTrust records when a configuration began to trust each CA.
func (s *stage) noteTrust(bundles map[string][][]byte) {
	seen := map[string]bool{}
	for name, texts := range bundles {
		for _, ca := range parseBundle(texts[0]) {
			key := name + " " + ca.Subject.CommonName
			seen[key] = true
			if _, known := s.trustedSince[key]; !known {
				s.trustedSince[key] = s.now
			}
		}
	}
	for key := range s.trustedSince {
		if !seen[key] {
			delete(s.trustedSince, key)
		}
	}
}

// checkSigner verifies that API servers had the settle time to learn of a CA before it signs, except for the first.
func (s *stage) checkSigner(leaf *x509.Certificate, bundles map[string][][]byte) {
	s.t.Helper()
	for name := range bundles {
		since, ok := s.trustedSince[name+" "+leaf.Issuer.CommonName]
		if s.distrusting[name] {
			continue
		}
		if !ok || s.first && s.now.Sub(since) < testPolicy.settle {
			s.t.Fatalf("at %s a certificate of %s was issued, which %s began to trust only at %s", s.now, leaf.Issuer.CommonName, name, since)
		}
	}
	s.first = true
}

func (s *stage) bundles() map[string][][]byte {
	s.t.Helper()
	found, err := (&configurations{client: s.client, ids: testConfigurations}).observe(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	bundles := map[string][][]byte{}
	for _, configuration := range found {
		bundles[configuration.id.name] = configuration.bundles
	}
	return bundles
}

func (s *stage) secret(name string) *corev1.Secret {
	s.t.Helper()
	found, err := getSecret(s.t.Context(), s.client, testNamespace, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

var errCrash = errors.New("crashed")

// settleDown lets a keeper, and after a crash another one, take steps until it is idle.
func (s *stage) settleDown(k *selfManaged) (*selfManaged, time.Time) {
	s.t.Helper()
	for range 100 {
		next, err := k.step(s.t.Context())
		switch {
		case errors.Is(err, errCrash):
			k = s.newKeeper()
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		case err != nil:
			s.t.Fatalf("at %s: %v", s.now, err)
		case next.deed == idle:
			return k, next.until
		}
	}
	s.t.Fatalf("at %s it did not converge within 100 steps", s.now)
	return nil, time.Time{}
}

// live lets time pass, from one step that is due to the next.
func (s *stage) live(k *selfManaged, until time.Time) *selfManaged {
	s.t.Helper()
	for {
		var next time.Time
		k, next = s.settleDown(k)
		if !next.After(s.now) {
			s.t.Fatalf("at %s it is idle until %s", s.now, next)
		}
		if next.After(until) {
			s.now = until
			return k
		}
		s.now = next
	}
}

func (s *stage) delete(name string) {
	s.t.Helper()
	if err := s.behind.Delete(s.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name}}); err != nil {
		s.t.Fatal(err)
	}
}

// replace puts something into a Secret, behind the keeper's back.
func (s *stage) replace(name string, data map[string][]byte) {
	s.t.Helper()
	found := s.secret(name)
	found.Data = data
	if err := s.behind.Update(s.t.Context(), found); err != nil {
		s.t.Fatal(err)
	}
}

// meanwhile runs a function whose writes are not counted.
func (s *stage) meanwhile(do func()) {
	meddle, writes := s.meddle, s.writes
	s.meddle = nil
	do()
	s.meddle, s.writes = meddle, writes
}

// twoYears simulates two years of a keeper: time, users, and damage.
func (s *stage) twoYears() {
	s.t.Helper()
	k := s.live(s.newKeeper(), begin.Add(10*day))
	s.delete(LeafSecret)
	k = s.live(k, begin.Add(20*day))
	s.delete(AuthoritySecret)
	k = s.live(k, begin.Add(30*day))
	s.replace(LeafSecret, map[string][]byte{corev1.TLSCertKey: []byte("no PEM"), corev1.TLSPrivateKeyKey: nil})
	k = s.live(k, begin.Add(40*day))
	s.replace(AuthoritySecret, map[string][]byte{corev1.TLSCertKey: []byte("no PEM")})
	k = s.live(k, begin.Add(50*day))
	s.recreate()
	k = s.live(k, begin.Add(2*365*day))
	s.checkConverged(k)
}

// recreate replaces a configuration, as a reinstallation does.
func (s *stage) recreate() {
	s.t.Helper()
	err := errors.Join(s.behind.Delete(s.t.Context(), newMutating()), s.behind.Create(s.t.Context(), newMutating()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.distrusting[testHook.name] = true
}

// checkConverged verifies that at the end every certificate is current, and only the necessary CAs are trusted.
func (s *stage) checkConverged(k *selfManaged) {
	s.t.Helper()
	k, _ = s.settleDown(k)
	before := s.writes
	s.settleDown(k)
	if s.writes != before {
		s.t.Errorf("%d writes after it converged, want none", s.writes-before)
	}
	leaf, absence := leafOf(s.secret(LeafSecret))
	if leaf == nil || !alive(leaf.Certificate, s.now) || !s.now.Before(renewal(leaf.Certificate)) {
		s.t.Fatalf("at %s the certificate is %v (%s), want a fresh one", s.now, leaf, absence)
	}
	a, err := decodeAuthorities(s.secret(AuthoritySecret).Data)
	if err != nil || a.current == nil || a.next != nil || len(a.former) > 1 {
		s.t.Errorf("CAs %v (%v), want a signing one, no next one, and at most one former one", a, err)
	}
	for name, texts := range s.bundles() {
		for _, text := range texts {
			if !bytes.Equal(text, a.bundle().encode()) {
				s.t.Errorf("%s does not trust exactly the CAs of the Secret", name)
			}
		}
	}
}

func TestTwoYearsWithoutAFault(t *testing.T) {
	s := newStage(t)
	s.twoYears()
	t.Logf("%d writes, %d certificates", s.writes, len(s.served))
	if len(s.served) < 12 { // 12 in two years, and those that users caused
		t.Errorf("%d certificates in two years, want 12 or more", len(s.served))
	}
}

// The keeper may crash at every write: before it, or after it with the answer lost. And at
// every write another controller, which leads now, may have made any step.
func TestTwoYearsWithAFaultAtEveryWrite(t *testing.T) {
	clean := newStage(t)
	clean.twoYears()
	faults := map[string]func(s *stage, at int) func(int, bool) error{
		"crash before": func(_ *stage, at int) func(int, bool) error {
			return func(write int, done bool) error {
				if write == at && !done {
					return errCrash
				}
				return nil
			}
		},
		"crash after": func(_ *stage, at int) func(int, bool) error {
			return func(write int, done bool) error {
				if write == at && done {
					return errCrash
				}
				return nil
			}
		},
		"another leads": func(s *stage, at int) func(int, bool) error {
			return func(write int, done bool) error {
				if write == at && !done {
					s.meanwhile(func() {
						other, _ := s.settleDown(s.newKeeper())
						s.now = s.now.Add(2 * testPolicy.settle)
						s.settleDown(other)
					})
				}
				return nil
			}
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for at := 1; at <= clean.writes; at++ {
				s := newStage(t)
				s.meddle = fault(s, at)
				s.twoYears()
				if t.Failed() {
					t.Fatalf("with the fault at write %d of %d", at, clean.writes)
				}
			}
		})
	}
}

// The CA is trusted before it signs, and its key stays in its Secret.
func TestFirstInstall(t *testing.T) {
	s := newStage(t)
	k := s.newKeeper()
	var deeds []deed
	for {
		next, err := k.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		deeds = append(deeds, next.deed)
		if next.deed == idle {
			break
		}
	}
	if diff := cmp.Diff([]deed{found, spread, spread, promote, issue, idle}, deeds); diff != "" {
		t.Errorf("deeds (-want, +got):\n%s", diff)
	}
	secret := s.secret(LeafSecret)
	if secret.Type != corev1.SecretTypeTLS {
		t.Errorf("the Secret's type is %s, want %s", secret.Type, corev1.SecretTypeTLS)
	}
	if _, found := s.secret(AuthoritySecret).Data[corev1.TLSPrivateKeyKey]; !found {
		t.Error("the CA's key is not in its Secret")
	}
	if bytes.Contains(fmt.Append(nil, secret.Data), s.secret(AuthoritySecret).Data[corev1.TLSPrivateKeyKey]) {
		t.Error("the CA's key is in the webhook's Secret")
	}
}

func TestAuthoritiesAreKeptWhole(t *testing.T) {
	old, ca, next := makeCA(t, begin.Add(-day)), makeCA(t, begin), makeCA(t, begin.Add(day))
	want := authorities{current: ca, next: next, former: []former{{old.Certificate, begin.Add(7 * day)}}, trusted: begin}
	data, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeAuthorities(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data, again); diff != "" {
		t.Errorf("encoding the decoded Secret again (-want, +got):\n%s", diff)
	}
	if strings.Count(string(want.bundle().encode()), "BEGIN CERTIFICATE") != 3 || bytes.Contains(want.bundle().encode(), []byte(untilHeader)) {
		t.Errorf("the bundle is\n%s\nwant three certificates without headers", want.bundle().encode())
	}
}
