package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
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

// Privileged pods are daemons' daily bread. An API server that runs with --allow-privileged=false refuses
// them by itself; upstream's functions would do so here, unless they are told before they are first used.
func init() { capabilities.Setup(true, 0) }

var daemonSetResource = metav1.GroupVersionResource{Group: v1alpha1.GroupName, Version: "v1alpha1", Resource: "daemonsets"}

// validator answers admission requests for DaemonSets of everynode.dev.
//
// What the CRD's own schema and rules refuse never comes here: the API server asks webhooks last. They
// hold, among others, for the selector that cannot change, and metadata is the API server's business. So
// what is left is the pod template.
type validator struct {
	others *Others
}

func (v *validator) answer(ctx context.Context, asked *request) (*admissionv1.AdmissionResponse, outcome) {
	isServed := asked.Operation == admissionv1.Create || asked.Operation == admissionv1.Update
	if !isServed || asked.Resource != daemonSetResource || asked.SubResource != "" {
		return misdirected("validation serves CREATE and UPDATE of DaemonSets of everynode.dev", asked), warned
	}
	set, err := decodeDaemonSet(asked.Object)
	var old *appsv1.DaemonSet
	if err == nil && asked.Operation == admissionv1.Update {
		old, err = decodeDaemonSet(asked.OldObject)
	}
	var warnings []string
	if err == nil {
		warnings, err = v.validate(ctx, set, old)
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

// decodeDaemonSet reads one of everynode.dev as the native kind, with apps/v1's defaults.
func decodeDaemonSet(raw []byte) (*appsv1.DaemonSet, error) {
	set := &v1alpha1.DaemonSet{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, set); err != nil {
		return nil, fmt.Errorf("decoding the DaemonSet: %w", err)
	}
	native := set.ToApps()
	internalv1.SetObjectDefaults_DaemonSet(native)
	return native, nil
}

// validate says what apps/v1 would refuse of a DaemonSet that is made or, with old, changed, else what
// to warn of. It is k8s.io/kubernetes pkg/registry/apps/daemonset strategy.go without what is said above.
//
// Upstream lets pass in an update what its validation did not know when the old object was stored. Here
// that goes further: a DaemonSet may have been stored while nothing validated it, and it must be possible to
// mend it in steps, and to delete it when it has finalizers. So an update is not refused for what was
// wrong before.
func (v *validator) validate(ctx context.Context, set, old *appsv1.DaemonSet) (warnings []string, err error) {
	spec, err := internal(set)
	if err != nil {
		return nil, err
	}
	var oldSpec *apps.DaemonSetSpec
	if old != nil {
		if oldSpec, err = internal(old); err != nil {
			return nil, err
		}
	}
	if errs := refusals(spec, oldSpec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(v1alpha1.DaemonSetKind.GroupKind(), set.Name, errs)
	}
	warnings = v.warnings(ctx, set, spec)
	if old == nil {
		return warnings, nil
	}
	// Nobody is told twice: an update is warned of what it brings.
	before := v.warnings(ctx, old, oldSpec)
	return slices.DeleteFunc(warnings, func(warning string) bool { return slices.Contains(before, warning) }), nil
}

// internal is a spec as upstream's functions take it.
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
	before := appsvalidation.ValidateDaemonSetSpec(old, field.NewPath("spec"), options)
	return slices.DeleteFunc(errs, func(err *field.Error) bool {
		return slices.ContainsFunc(before, func(other *field.Error) bool {
			return other.Type == err.Type && other.Field == err.Field && other.Detail == err.Detail
		})
	})
}
