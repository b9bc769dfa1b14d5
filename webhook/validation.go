package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	internalv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/capabilities"
	kjson "sigs.k8s.io/json"

	"github.com/everynode/everynode/api/v1alpha1"
)

// ValidationPath is the URL path of the validating webhook of DaemonSets.
const ValidationPath = "/validate-daemonsets"

// Daemons are often privileged. An API server with --allow-privileged=false refuses privileged pods itself;
// upstream's functions would refuse them here unless capabilities are set before their first use.
func init() { capabilities.Setup(true, 0) }

var daemonSetResource = metav1.GroupVersionResource{Group: v1alpha1.GroupName, Version: "v1alpha1", Resource: "daemonsets"}

// validator answers admission requests for DaemonSets of everynode.dev.
//
// Requests that the CRD's schema and rules refuse never arrive here, because the API server calls webhooks
// last. The CRD covers, for example, the immutable selector, and the API server validates metadata. What
// remains is the pod template.
type validator struct {
	others *Others
	nodes  *Nodes
}

func (v *validator) answer(ctx context.Context, asked *request) (*admissionv1.AdmissionResponse, outcome) {
	isServed := asked.Operation == admissionv1.Create || asked.Operation == admissionv1.Update
	if !isServed || asked.Resource != daemonSetResource || asked.SubResource != "" {
		return misdirected("validation only serves CREATE and UPDATE of DaemonSets of everynode.dev", asked), warned
	}
	raw, err := specOf(asked.Object)
	if err != nil {
		return refused(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error()), malformed
	}
	var old *daemonSet
	if asked.Operation == admissionv1.Update {
		before, err := specOf(asked.OldObject)
		switch {
		case err != nil: // the old object is unknown, so none of its errors can be accepted
		case bytes.Equal(before, raw):
			return allowed(), unchanged // only metadata changed: labels, or the last finalizer
		default:
			old = newDaemonSet(ctx, asked, before)
		}
	}
	warnings, err := v.validate(ctx, newDaemonSet(ctx, asked, raw), old)
	if err == nil && asked.Operation == admissionv1.Update {
		taken := replaced(asked.Object, asked.OldObject)
		warnings = append(warnings, taken[:min(len(taken), reportLimit-len(warnings))]...)
	}
	var status *apierrors.StatusError
	switch {
	case errors.As(err, &status):
		return &admissionv1.AdmissionResponse{Result: &status.ErrStatus}, denied
	case err != nil:
		return refused(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error()), malformed
	case len(warnings) > 0:
		return allowed(warnings...), warned
	}
	return allowed(), unchanged
}

// specOf returns the spec of an object in JSON. Nothing else of a DaemonSet is read or decoded.
func specOf(object []byte) (json.RawMessage, error) {
	var set *struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(object, &set); err != nil {
		return nil, fmt.Errorf("decoding the DaemonSet: %w", err)
	}
	if set == nil {
		return nil, errors.New("decoding the DaemonSet: the request contains none")
	}
	return set.Spec, nil
}

// daemonSet is a DaemonSet of everynode.dev as the native kind, with apps/v1's defaults, and the errors of
// fields that could not be decoded.
type daemonSet struct {
	*appsv1.DaemonSet
	faults field.ErrorList
}

func newDaemonSet(ctx context.Context, asked *request, raw []byte) *daemonSet {
	spec, faults := readSpec(ctx, raw)
	native := (&v1alpha1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: asked.Namespace, Name: asked.Name}, Spec: *spec}).ToApps()
	internalv1.SetObjectDefaults_DaemonSet(native)
	return &daemonSet{DaemonSet: native, faults: faults}
}

// validate returns the errors that apps/v1 would report for a DaemonSet that is created or, with old, changed,
// or else warnings. It follows k8s.io/kubernetes pkg/registry/apps/daemonset strategy.go, without the checks
// listed above.
//
// On update, upstream accepts errors that its validation did not know when the old object was stored. This goes
// further: a DaemonSet may have been stored without any validation, and it must be possible to fix it in steps,
// and to delete it when it has finalizers. So an update is not refused for errors that the old object already
// has, even if it could not be decoded.
func (v *validator) validate(ctx context.Context, set, old *daemonSet) (warnings []string, err error) {
	var before field.ErrorList
	if old != nil {
		before = old.faults
	}
	if errs := added(set.faults, before); len(errs) > 0 {
		return nil, invalid(set, errs)
	}
	spec, err := internal(set.DaemonSet)
	if err != nil {
		return nil, err
	}
	var oldSpec *apps.DaemonSetSpec
	if old != nil {
		if oldSpec, err = internal(old.DaemonSet); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil { // the client has stopped waiting
		return nil, ctx.Err()
	}
	if errs := refusals(spec, oldSpec); len(errs) > 0 {
		return nil, invalid(set, errs)
	}
	warnings = v.warnings(ctx, set.DaemonSet, spec)
	if old == nil {
		return warnings[:min(len(warnings), reportLimit)], nil
	}
	// Warnings that the old object already had are not repeated.
	known := sets.New(v.warnings(ctx, old.DaemonSet, oldSpec)...)
	warnings = slices.DeleteFunc(warnings, known.Has)
	return warnings[:min(len(warnings), reportLimit)], nil
}

func invalid(set *daemonSet, errs field.ErrorList) error {
	return apierrors.NewInvalid(v1alpha1.DaemonSetKind.GroupKind(), set.Name, reported(errs))
}

// internal converts a spec into the internal type that upstream's functions take.
func internal(set *appsv1.DaemonSet) (*apps.DaemonSetSpec, error) {
	spec := &apps.DaemonSetSpec{}
	if err := internalv1.Convert_v1_DaemonSetSpec_To_apps_DaemonSetSpec(&set.Spec, spec, nil); err != nil {
		return nil, fmt.Errorf("converting the DaemonSet: %w", err)
	}
	return spec, nil
}

func refusals(spec, old *apps.DaemonSetSpec) field.ErrorList {
	if old == nil {
		podutil.DropDisabledTemplateFields(&spec.Template, nil)
		options := podutil.GetValidationOptionsFromPodTemplate(&spec.Template, nil)
		return appsvalidation.ValidateDaemonSetSpec(spec, field.NewPath("spec"), options)
	}
	podutil.DropDisabledTemplateFields(&spec.Template, &old.Template)
	options := podutil.GetValidationOptionsFromPodTemplate(&spec.Template, &old.Template)
	options.AllowInvalidLabelValueInSelector = options.AllowInvalidLabelValueInSelector || metav1validation.LabelSelectorHasInvalidLabelValue(old.Selector)
	errs := appsvalidation.ValidateDaemonSetSpec(spec, field.NewPath("spec"), options)
	if len(errs) == 0 {
		return nil
	}
	return added(errs, appsvalidation.ValidateDaemonSetSpec(old, field.NewPath("spec"), options))
}
