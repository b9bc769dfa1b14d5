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

// Mode says who makes the webhook's certificate.
type Mode string

// The values of Mode.
const (
	// ModeAuto is cert-manager where its API is served when the controller starts, else
	// self-managed.
	ModeAuto Mode = "auto"
	// ModeCertManager leaves it to cert-manager.
	ModeCertManager Mode = "cert-manager"
	// ModeSelfManaged does it here.
	ModeSelfManaged Mode = "self-managed"
	// ModeNone leaves it to whoever gives the webhook its files.
	ModeNone Mode = "none"
)

// ParseMode refuses what is not supported.
func ParseMode(value string) (Mode, error) {
	switch mode := Mode(value); mode {
	case ModeAuto, ModeCertManager, ModeSelfManaged, ModeNone:
		return mode, nil
	}
	return "", fmt.Errorf("certificates by %q are unknown: use auto, cert-manager, self-managed or none", value)
}

// The Secrets, in the namespace of the Options.
const (
	// LeafSecret is the webhook's own, whoever makes its certificate.
	LeafSecret = "everynode-webhook-tls"
	// AuthoritySecret holds the CAs of the self-managed mode.
	AuthoritySecret = "everynode-webhook-ca"
	// IssuerSecret holds the CA that cert-manager made.
	IssuerSecret = "everynode-webhook-issuer"
)

// Options are what an operator may choose.
type Options struct {
	Mode Mode
	// Namespace is where the Secrets are.
	Namespace string
	// Names are the DNS names and IP addresses at which the API server calls the webhook.
	Names []string
	// Mutating and Validating name the webhook configurations that are to trust the webhook. One
	// that does not exist is trusted as soon as it does.
	Mutating, Validating []string
	// Lifetime is that of the webhook's certificate, AuthorityLifetime that of its CA.
	Lifetime, AuthorityLifetime time.Duration
	// Settle is how long API servers and webhooks may take to notice what was written, before a
	// new CA signs.
	Settle time.Duration
}

// minLifetimes is how many lifetimes of certificates a CA has at least: in its last third, while a
// successor takes over, whole ones have to fit.
const minLifetimes = 3

// minLifetime of a certificate; less would be renewed all the time.
const minLifetime = 10 * time.Second

// Validate says everything that is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	if o.Namespace == "" || len(o.Names) == 0 {
		errs = append(errs, errors.New("the webhook's certificate needs a namespace for its Secret and a name to be valid for"))
	}
	if o.Lifetime < minLifetime {
		errs = append(errs, fmt.Errorf("a certificate that lives for %s would be renewed all the time: give %s or more", o.Lifetime, minLifetime))
	}
	if o.AuthorityLifetime < minLifetimes*o.Lifetime {
		errs = append(errs, fmt.Errorf("a CA that lives for %s is too short for certificates of %s: give at least %d times as much", o.AuthorityLifetime, o.Lifetime, minLifetimes))
	}
	if o.Settle < 0 {
		errs = append(errs, fmt.Errorf("%s is no time to wait for: give 0 or more", o.Settle))
	}
	return errors.Join(errs...)
}

// keeper is one mode at work.
type keeper interface {
	// prepare is done once, again when it failed.
	prepare(context.Context) error
	// secrets are the names of those whose changes matter.
	secrets() []string
	// step observes, plans one step and does it. An idle one did nothing.
	step(context.Context) (step, error)
}

// Manager has the webhook's certificate made, renewed and trusted. One of them works at a time: add
// it to a manager with leader election. Two that do for a moment do no harm.
type Manager struct {
	client  client.WithWatch
	options Options
	keeper  keeper
	writes  flowcontrol.RateLimiter
}

// NewManager decides who makes the certificate.
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
		return nil, fmt.Errorf("making a client for certificates: %w", err)
	}
	served, err := servesCertManager(discoverer)
	if err != nil {
		return nil, err
	}
	mode, why := options.Mode.decide(served)
	log.FromContext(ctx).Info("who makes the webhook's certificate", "mode", mode, "why", why)
	return newManager(c, options, mode, served), nil
}

// decide makes of auto one of the others.
func (m Mode) decide(certManagerServed bool) (Mode, string) {
	switch {
	case m != ModeAuto:
		return m, "it was asked for"
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

// NewSecretSource is FromSecret with a client of its own.
func NewSecretSource(config *rest.Config, namespace, name string) (Source, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return FromSecret(c, client.ObjectKey{Namespace: namespace, Name: name}), nil
}

// newClient asks the API server itself, with no cache: what is decided on has to be true now.
func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionregistrationv1.AddToScheme, addCertManager} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for certificates: %w", err)
	}
	return c, nil
}

const (
	// Should somebody undo what is written here, they and we do not keep the API server busy.
	writesPerSecond = 2
	writesBurst     = 20

	manageBackOff    = 500 * time.Millisecond
	manageBackOffMax = 10 * time.Second
	// lookAgain is how long nothing is looked at, though nothing seems to change.
	lookAgain = time.Hour
)

// Start keeps the certificate up until ctx ends.
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

// objects are those whose changes matter.
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
			pause = manageBackOff // somebody else wrote; look at what
		default:
			renewalErrors.Inc()
			if said != err.Error() {
				logger.Error(err, "keeping up the webhook's certificate; trying again until it works")
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

// settle takes steps until nothing is left to do now, and says when to look again.
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

// subject is what a step is about, when that is not the certificate.
func (s step) subject() string {
	if s.deed == spread {
		return "(" + s.configuration.String() + ")"
	}
	return ""
}
