package daemon

import (
	"cmp"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/everynode/everynode/internal/bounded"
)

// TemplateFromRecord returns the template that a ControllerRevision holds, under the revision of its label: the
// reverse of NewRevision. identity is any template of the same daemon. The data may come from any writer: a
// record that is not safe to decode, and a template that would not be served, are refused.
func TemplateFromRecord(identity *Template, record *appsv1.ControllerRevision) (*Template, error) {
	var held recorded
	if err := bounded.Unmarshal(record.Data.Raw, &held); err != nil {
		return nil, fmt.Errorf("ControllerRevision %s cannot be decoded: %w", record.Name, err)
	}
	if held.Spec.Template == nil {
		return nil, fmt.Errorf("ControllerRevision %s: %w", record.Name, errNoTemplate)
	}
	template := &Template{
		Kind: identity.Kind, Owner: identity.Owner, Namespace: identity.Namespace, Name: identity.Name,
		Revision:   cmp.Or(record.Labels[appsv1.ControllerRevisionHashLabelKey], record.Name),
		Generation: identity.Kind.templateGeneration(record.Annotations),
		Pod:        held.Spec.Template.PodTemplateSpec,
	}
	if err := cmp.Or(CheckTemplate(&template.Pod), CheckQuantities(&template.Pod)); err != nil {
		return nil, fmt.Errorf("ControllerRevision %s: %w", record.Name, err)
	}
	return template, nil
}

var errNoTemplate = errors.New("its data contains no pod template")
