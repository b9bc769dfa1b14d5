package certs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Mode is the source of the webhook's certificate.
type Mode string

// The values of Mode.
const (
	// ModeAuto is cert-manager if its API is served when the controller starts, else self-managed.
	ModeAuto Mode = "auto"
	// ModeCertManager requests it from cert-manager.
	ModeCertManager Mode = "cert-manager"
	// ModeSelfManaged creates it in the controller.
	ModeSelfManaged Mode = "self-managed"
	// ModeNone means that the webhook gets its certificate from files.
	ModeNone Mode = "none"
)

// ParseMode returns an error for unknown modes.
func ParseMode(value string) (Mode, error) {
	switch mode := Mode(value); mode {
	case ModeAuto, ModeCertManager, ModeSelfManaged, ModeNone:
		return mode, nil
	}
	return "", fmt.Errorf("unknown certificate source %q: use auto, cert-manager, self-managed or none", value)
}

// The Secrets, in the namespace of the Options.
const (
	// LeafSecret holds the webhook's certificate in all modes.
	LeafSecret = "everynode-webhook-tls"
	// AuthoritySecret holds the CAs of the self-managed mode.
	AuthoritySecret = "everynode-webhook-ca"
	// IssuerSecret holds the CA that cert-manager created.
	IssuerSecret = "everynode-webhook-issuer"
)

// Options are the operator's settings.
type Options struct {
	Mode Mode
	// Namespace is the namespace of the Secrets.
	Namespace string
	// Names are the DNS names and IP addresses at which the API server calls the webhook.
	Names []string
	// Mutating and Validating name the webhook configurations that have to trust the webhook. One that does not
	// exist yet gets the bundle when it is created.
	Mutating, Validating []string
	// Lifetime is that of the webhook's certificate, AuthorityLifetime that of its CA.
	Lifetime, AuthorityLifetime time.Duration
	// Settle is how long API servers and webhooks may take to notice a write, before a new CA signs.
	Settle time.Duration
}

// minLifetimes is the minimum lifetime of a CA in lifetimes of certificates: in its last third, during the
// succession, whole ones have to fit.
const minLifetimes = 3

// minLifetime of a certificate; a shorter one would be renewed all the time.
const minLifetime = 10 * time.Second

// Validate returns all errors of the options.
func (o *Options) Validate() error {
	var errs []error
	if o.Namespace == "" || len(o.Names) == 0 {
		errs = append(errs, errors.New("the webhook's certificate needs a namespace for its Secret and at least one name"))
	}
	if o.Lifetime < minLifetime {
		errs = append(errs, fmt.Errorf("a certificate lifetime of %s is too short: set %s or more", o.Lifetime, minLifetime))
	}
	if o.AuthorityLifetime < minLifetimes*o.Lifetime {
		errs = append(errs, fmt.Errorf("a CA lifetime of %s is too short for certificates of %s: set at least %d times as much", o.AuthorityLifetime, o.Lifetime, minLifetimes))
	}
	if o.Settle < 0 {
		errs = append(errs, fmt.Errorf("the settle time %s is negative: set 0 or more", o.Settle))
	}
	return errors.Join(errs...)
}

// keeper implements one mode.
type keeper interface {
	// prepare runs once, and again if it failed.
	prepare(context.Context) error
	// secrets returns the names of the Secrets to watch.
	secrets() []string
	// step observes, plans one step and executes it. An idle step did nothing.
	step(context.Context) (step, error)
}

// Manager creates and renews the webhook's certificate, and makes it trusted. Only one should work at a time:
// add it to a manager with leader election. Two at the same time do no harm.
type Manager struct {
	client  client.WithWatch
	options Options
	keeper  keeper
	writes  flowcontrol.RateLimiter
}

// NewManager decides which mode to use.
func NewManager(ctx context.Context, config *rest.Config, options Options) (*Manager, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for certificates: %w", err)
	}
	served, err := servesCertManager(discoverer)
	if err != nil {
		return nil, err
	}
	mode, why := options.Mode.decide(served)
	log.FromContext(ctx).Info("Selected the source of the webhook's certificate", "mode", mode, "why", why)
	return newManager(c, options, mode, served), nil
}

// decide resolves auto to another mode.
func (m Mode) decide(certManagerServed bool) (Mode, string) {
	switch {
	case m != ModeAuto:
		return m, "it was configured"
	case certManagerServed:
		return ModeCertManager, "the API of cert-manager is served"
	}
	return ModeSelfManaged, "the API of cert-manager is not served"
}

func newManager(c client.WithWatch, options Options, mode Mode, certManagerServed bool) *Manager {
	m := &Manager{client: c, options: options, writes: flowcontrol.NewTokenBucketRateLimiter(writesPerSecond, writesBurst)}
	trust := configurations{client: c, ids: options.configurations()}
	if mode == ModeCertManager {
		m.keeper = &certManager{client: c, options: options, configurations: trust, now: time.Now}
		return m
	}
	m.keeper = &selfManaged{
		policy:         policy{options.Names, options.Lifetime, options.AuthorityLifetime, options.Settle},
		client:         c,
		namespace:      options.Namespace,
		configurations: trust,
		now:            time.Now,
		retire: func(ctx context.Context) error {
			if !certManagerServed {
				return nil
			}
			return retireCertManager(ctx, c, options.Namespace)
		},
	}
	return m
}

func (o *Options) configurations() []configurationID {
	var ids []configurationID
	for _, name := range o.Mutating {
		ids = append(ids, configurationID{name: name})
	}
	for _, name := range o.Validating {
		ids = append(ids, configurationID{validating: true, name: name})
	}
	return ids
}

// NewSecretSource is FromSecret with its own client.
func NewSecretSource(config *rest.Config, namespace, name string) (Source, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return FromSecret(c, client.ObjectKey{Namespace: namespace, Name: name}), nil
}

// newClient returns a client without a cache, because decisions need the current state.
func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionregistrationv1.AddToScheme, addCertManager} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("creating a client for certificates: %w", err)
	}
	return c, nil
}

const (
	// If another writer keeps undoing our writes, the two must not overload the API server.
	writesPerSecond = 2
	writesBurst     = 20

	manageBackOff    = 500 * time.Millisecond
	manageBackOffMax = 10 * time.Second
	// lookAgain is the longest time between two observations without a change.
	lookAgain = time.Hour
)

// Start maintains the certificate until ctx ends.
func (m *Manager) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	wake := make(chan struct{}, 1)
	for _, object := range m.objects() {
		group.Go(func() error {
			return follow(ctx, m.client, object, func(client.Object) {
				select {
				case wake <- struct{}{}:
				default:
				}
			})
		})
	}
	group.Go(func() error {
		m.run(ctx, wake)
		return nil
	})
	return group.Wait()
}

// objects returns the objects to watch.
func (m *Manager) objects() []client.Object {
	var objects []client.Object
	for _, name := range m.keeper.secrets() {
		objects = append(objects, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.options.Namespace, Name: name}})
	}
	for _, id := range m.options.configurations() {
		objects = append(objects, id.object())
	}
	return objects
}

func (m *Manager) run(ctx context.Context, wake <-chan struct{}) {
	logger := log.FromContext(ctx)
	prepared, retry, said := false, manageBackOff, ""
	for ctx.Err() == nil {
		until, err := m.settle(ctx, &prepared)
		pause := min(time.Until(until), lookAgain)
		switch {
		case err == nil:
			retry, said = manageBackOff, ""
		case ctx.Err() != nil:
			return
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
			pause = manageBackOff // the object changed; observe it again
		default:
			renewalErrors.Inc()
			if said != err.Error() {
				logger.Error(err, "Failed to maintain the webhook's certificate; will retry")
				said = err.Error()
			}
			pause, retry = retry, min(2*retry, manageBackOffMax)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		}
		timer.Stop()
	}
}

// settle takes steps until none is due, and returns when the next one is.
func (m *Manager) settle(ctx context.Context, prepared *bool) (time.Time, error) {
	if !*prepared {
		if err := m.keeper.prepare(ctx); err != nil {
			return time.Time{}, err
		}
		*prepared = true
	}
	for {
		next, err := m.keeper.step(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if next.deed == idle {
			return next.until, nil
		}
		log.FromContext(ctx).Info("webhook certificate", "step", next.deed, "because", strings.TrimSpace(next.reason+" "+next.subject()))
		if err := m.writes.Wait(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

// subject returns the object of a step, unless that is the certificate.
func (s step) subject() string {
	if s.deed == spread {
		return "(" + s.configuration.String() + ")"
	}
	return ""
}
