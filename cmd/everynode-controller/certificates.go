package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/certs"
)

// certificateFlags are the flags for the webhook's certificate.
type certificateFlags struct {
	mode, names, mutating, validating string
	lifetime, authority, settle       time.Duration
}

func (f *certificateFlags) add(flags *flag.FlagSet) {
	flags.StringVar(&f.mode, "webhook-certificates", string(certs.ModeAuto), "source of the webhook's certificate and its trust: auto (cert-manager if its API is served at startup, else self-managed), cert-manager, self-managed, none (you provide both)")
	flags.StringVar(&f.names, "webhook-certificate-names", "everynode-webhook."+v1alpha1.SystemNamespace+".svc", "DNS names and IP addresses at which the API server calls the webhook, separated by commas")
	flags.DurationVar(&f.lifetime, "webhook-certificate-lifetime", 90*24*time.Hour, "how long a certificate of the webhook is valid; it is renewed after two thirds of that")
	flags.DurationVar(&f.authority, "webhook-ca-lifetime", 365*24*time.Hour, "how long a CA is valid; it is replaced after two thirds of that")
	flags.DurationVar(&f.settle, "webhook-ca-settle", time.Minute, "how long every configuration trusts a new CA before it signs")
	flags.StringVar(&f.mutating, "mutating-webhook-configurations", "everynode-placement", "MutatingWebhookConfigurations that have to trust the webhook, separated by commas")
	flags.StringVar(&f.validating, "validating-webhook-configurations", "everynode-validation", "ValidatingWebhookConfigurations that have to trust the webhook, separated by commas")
}

// options converts the flags; the mode is none if there is nothing to manage.
func (f *certificateFlags) options() (certs.Options, error) {
	mode, err := certs.ParseMode(f.mode)
	if err != nil {
		return certs.Options{}, fmt.Errorf("--webhook-certificates: %w", err)
	}
	options := certs.Options{
		Mode: mode, Namespace: v1alpha1.SystemNamespace, Names: list(f.names),
		Mutating: list(f.mutating), Validating: list(f.validating),
		Lifetime: f.lifetime, AuthorityLifetime: f.authority, Settle: f.settle,
	}
	if err := options.Validate(); err != nil {
		return certs.Options{}, fmt.Errorf("--webhook-certificate-names, --webhook-certificate-lifetime, --webhook-ca-lifetime, --webhook-ca-settle: %w", err)
	}
	return options, nil
}

// list splits at commas; an empty text is an empty list.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// addCertificates makes the leader maintain the webhook's certificate.
func addCertificates(ctx context.Context, mgr ctrl.Manager, options certs.Options) error {
	if options.Mode == certs.ModeNone {
		return nil
	}
	keeper, err := certs.NewManager(ctx, mgr.GetConfig(), options)
	if err != nil {
		return fmt.Errorf("setting up the webhook's certificate: %w", err)
	}
	if err := mgr.Add(keeper); err != nil {
		return fmt.Errorf("setting up the webhook's certificate: %w", err)
	}
	return nil
}
