package certs

import (
	"context"
	"fmt"
	"maps"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// configurationID names a webhook configuration.
type configurationID struct {
	validating bool
	name       string
}

func (id configurationID) String() string {
	if id.validating {
		return "ValidatingWebhookConfiguration " + id.name
	}
	return "MutatingWebhookConfiguration " + id.name
}

func (id configurationID) object() client.Object {
	if id.validating {
		object := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		object.Name = id.name
		return object
	}
	object := &admissionregistrationv1.MutatingWebhookConfiguration{}
	object.Name = id.name
	return object
}

// clientConfigs returns those of a configuration's entries, to be read or written.
func clientConfigs(object client.Object) []*admissionregistrationv1.WebhookClientConfig {
	var configs []*admissionregistrationv1.WebhookClientConfig
	switch object := object.(type) {
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range object.Webhooks {
			configs = append(configs, &object.Webhooks[i].ClientConfig)
		}
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range object.Webhooks {
			configs = append(configs, &object.Webhooks[i].ClientConfig)
		}
	}
	return configs
}

// configurations are the webhook configurations that have to trust the webhook.
type configurations struct {
	client client.Client
	ids    []configurationID
	// seen are the objects that observe read, for the following patch.
	seen map[configurationID]client.Object
}

// observe reads the configurations that exist.
func (c *configurations) observe(ctx context.Context) ([]configuration, error) {
	c.seen = map[configurationID]client.Object{}
	var found []configuration
	for _, id := range c.ids {
		object := id.object()
		err := c.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", id, err)
		}
		c.seen[id] = object
		one := configuration{id: id, injected: object.GetAnnotations()[injectAnnotation]}
		for _, config := range clientConfigs(object) {
			one.bundles = append(one.bundles, config.CABundle)
		}
		found = append(found, one)
	}
	return found, nil
}

// write makes every entry of a configuration trust a bundle, nil for no change, and sets cert-manager's
// annotation, or removes it when it is empty. It fails if the object changed since observe.
func (c *configurations) write(ctx context.Context, id configurationID, trusted bundle, injected string) error {
	before, ok := c.seen[id]
	if !ok {
		return fmt.Errorf("writing %s: it was not read before", id)
	}
	object := before.DeepCopyObject().(client.Object)
	if trusted != nil {
		for _, config := range clientConfigs(object) {
			config.CABundle = trusted.encode()
		}
	}
	annotations := maps.Clone(object.GetAnnotations())
	if injected == "" {
		delete(annotations, injectAnnotation)
	} else {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[injectAnnotation] = injected
	}
	object.SetAnnotations(annotations)
	patch := client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})
	if err := c.client.Patch(ctx, object, patch); err != nil {
		return fmt.Errorf("writing %s: %w", id, err)
	}
	return nil
}
