package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	admissionwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	internalv1 "k8s.io/kubernetes/pkg/apis/admissionregistration/v1"
	"k8s.io/kubernetes/pkg/apis/admissionregistration/validation"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/internal/daemon"
)

// The entries of the registration, one for each way in which a pod may opt in to placement.
const (
	owned          = "owned.placement.everynode.dev"
	podLabel       = "pod-label.placement.everynode.dev"
	namespaceLabel = "namespace-label.placement.everynode.dev"
)

// readManifest reads the only object of a kind in the manifests, strictly.
func readManifest(t *testing.T, kind string, into any) {
	t.Helper()
	objects, err := deploy.Objects(deploy.Install, kind)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects are a %s, %v, want 1", len(objects), kind, err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, into, true); err != nil {
		t.Fatal(err)
	}
}

// registration returns the configuration of placement, with the API server's defaults.
func registration(t *testing.T) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	readManifest(t, "MutatingWebhookConfiguration", configuration)
	internalv1.SetObjectDefaults_MutatingWebhookConfiguration(configuration)
	return configuration
}

// validatingRegistration returns the configuration of validation, with the API server's defaults.
func validatingRegistration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	readManifest(t, "ValidatingWebhookConfiguration", configuration)
	internalv1.SetObjectDefaults_ValidatingWebhookConfiguration(configuration)
	return configuration
}

// Uses the API server's own validation, which compiles the matchConditions as well.
func TestRegistrationIsValid(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(admissionregistration.AddToScheme(scheme), internalv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	mutating, validating := &admissionregistration.MutatingWebhookConfiguration{}, &admissionregistration.ValidatingWebhookConfiguration{}
	if err := errors.Join(scheme.Convert(registration(t), mutating, nil), scheme.Convert(validatingRegistration(t), validating, nil)); err != nil {
		t.Fatal(err)
	}
	errs := append(validation.ValidateMutatingWebhookConfiguration(mutating), validation.ValidateValidatingWebhookConfiguration(validating)...)
	if len(errs) > 0 {
		t.Errorf("the API server would refuse it: %v", errs.ToAggregate())
	}
}

// Validation is configured only for DaemonSets of everynode.dev, and its failures admit the object.
func TestValidatingRegistration(t *testing.T) {
	path, port := ValidationPath, int32(443)
	want := []admissionregistrationv1.ValidatingWebhook{{
		// Not under placement.everynode.dev, whose failures the controller attributes to placement.
		Name: "daemonsets.validation.everynode.dev",
		ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
			Name: "everynode-webhook", Namespace: "everynode-system", Path: &path, Port: &port,
		}},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{"everynode.dev"}, APIVersions: []string{"v1alpha1"}, Resources: []string{"daemonsets"}, Scope: new(admissionregistrationv1.NamespacedScope),
			},
		}},
		FailurePolicy: new(admissionregistrationv1.Ignore), TimeoutSeconds: new(int32(3)),
		MatchPolicy:       new(admissionregistrationv1.Equivalent),
		NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}}
	if diff := cmp.Diff(want, validatingRegistration(t).Webhooks); diff != "" {
		t.Errorf("entries (-want, +got):\n%s", diff)
	}
}

// The properties that all entries share. Their selectors and conditions are tested below by the pods that they
// match.
func TestRegistrationProperties(t *testing.T) {
	configuration := registration(t)
	var names []string
	for _, entry := range configuration.Webhooks {
		names = append(names, entry.Name)
		t.Run(entry.Name, func(t *testing.T) {
			path, port := PlacementPath, int32(443)
			want := admissionregistrationv1.MutatingWebhook{
				Name: entry.Name,
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
					Name: "everynode-webhook", Namespace: "everynode-system", Path: &path, Port: &port,
				}},
				// CREATE of pods and not of their subresources.
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: new(admissionregistrationv1.NamespacedScope),
					},
				}},
				// A pod that was not pinned must not be admitted; three seconds bound the cost.
				FailurePolicy: new(admissionregistrationv1.Fail), TimeoutSeconds: new(int32(3)),
				// Another webhook may set spec.nodeName after this one.
				ReinvocationPolicy:      new(admissionregistrationv1.IfNeededReinvocationPolicy),
				MatchPolicy:             new(admissionregistrationv1.Equivalent),
				SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
				AdmissionReviewVersions: []string{"v1"},
			}
			got := *entry.DeepCopy()
			got.NamespaceSelector, got.ObjectSelector, got.MatchConditions = nil, nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entry (-want, +got):\n%s", diff)
			}
			// Metrics and audit logs distinguish the entries from other webhooks by this.
			if !strings.HasSuffix(entry.Name, ".placement.everynode.dev") {
				t.Errorf("name %q, want it under placement.everynode.dev", entry.Name)
			}
		})
	}
	if diff := cmp.Diff([]string{owned, podLabel, namespaceLabel}, names); diff != "" {
		t.Errorf("entries (-want, +got):\n%s", diff)
	}
}

// calls evaluates which entries send a pod to the webhook, with the API server's own code: selectors first,
// then matchConditions. With failurePolicy Fail, an evaluation error would refuse the pod.
type calls struct {
	entries  []admissionwebhook.WebhookAccessor
	matchers []matchconditions.Matcher
}

func newCalls(t *testing.T) *calls {
	t.Helper()
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	c := &calls{}
	configuration := registration(t)
	for i := range configuration.Webhooks {
		entry := admissionwebhook.NewMutatingWebhookAccessor(configuration.Webhooks[i].Name, configuration.Name, &configuration.Webhooks[i])
		c.entries = append(c.entries, entry)
		c.matchers = append(c.matchers, entry.GetCompiledMatcher(compiler))
	}
	return c
}

// by returns the names of the entries that call the webhook for a pod.
func (c *calls) by(ctx context.Context, namespace labels.Set, object runtime.Object, groups []string, schemaless bool) ([]string, error) {
	var names []string
	for i, entry := range c.entries {
		inNamespace, namespaceErr := entry.GetParsedNamespaceSelector()
		ofObject, objectErr := entry.GetParsedObjectSelector()
		accessor, accessErr := meta.Accessor(object)
		if err := errors.Join(namespaceErr, objectErr, accessErr); err != nil {
			return nil, err
		}
		if !inNamespace.Matches(namespace) || !ofObject.Matches(labels.Set(accessor.GetLabels())) {
			continue
		}
		attributes := &admission.VersionedAttributes{
			Attributes: admission.NewAttributesRecord(object, nil, podVersionKind, "ns", accessor.GetName(), podVersionResource, "",
				admission.Create, nil, false, &user.DefaultInfo{Name: "somebody", Groups: groups}),
			VersionedObject: admission.NewLazyObject(object),
			VersionedKind:   podVersionKind,
		}
		attributes.VersionedObject.UseSchemalessTypeRef = schemaless //nolint:staticcheck // deprecated because it is to be the only way
		result := c.matchers[i].Match(ctx, attributes, nil, nil)
		if result.Error != nil {
			return nil, fmt.Errorf("%s: %w", entry.GetName(), result.Error)
		}
		if result.Matches {
			names = append(names, entry.GetName())
		}
	}
	return names, nil
}

var (
	podVersionKind     = corev1.SchemeGroupVersion.WithKind("Pod")
	podVersionResource = corev1.SchemeGroupVersion.WithResource("pods")
	// representations are the forms in which the API server may present a typed object to CEL; they differ in
	// has() of empty fields.
	representations = map[string]bool{"unstructured": false, "schemaless": true}
)

// daemonPod is a pod of a DaemonSet that names a node.
func daemonPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", OwnerReferences: []metav1.OwnerReference{{APIVersion: "everynode.dev/v1alpha1", Kind: "DaemonSet", Name: "d", UID: "u", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: "n1"},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

// Which pods are sent to the webhook, and by which entries. Other pods must not be affected by it (S7).
func TestRegistrationMatches(t *testing.T) {
	owner := func(apiVersion, kind string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.OwnerReferences[0].APIVersion, pod.OwnerReferences[0].Kind = apiVersion, kind
		}
	}
	controller := func(controller *bool) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.OwnerReferences[0].Controller = controller }
	}
	orphan := func(pod *corev1.Pod) { pod.OwnerReferences = nil }
	asks := func(pod *corev1.Pod) {
		pod.Labels = map[string]string{v1alpha1.PlacementLabel: v1alpha1.PlacementScheduler}
	}
	asksWrongly := func(pod *corev1.Pod) { pod.Labels = map[string]string{v1alpha1.PlacementLabel: "true"} }
	mirror := func(pod *corev1.Pod) { pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"} }
	annotated := func(pod *corev1.Pod) { pod.Annotations = map[string]string{"a": "b"} }
	noNode := func(pod *corev1.Pod) { pod.Spec.NodeName = "" }
	emptyNode := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "p", "ownerReferences": []any{
			map[string]any{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": true},
		}},
		"spec": map[string]any{"nodeName": ""},
	}}
	kubelet := []string{"system:nodes", "system:authenticated"}
	namespace := func(name string, asks bool) labels.Set {
		set := labels.Set{corev1.LabelMetadataName: name}
		if asks {
			set[v1alpha1.PlacementLabel] = v1alpha1.PlacementScheduler
		}
		return set
	}

	tests := map[string]struct {
		pod       runtime.Object
		namespace labels.Set // nil for "ns", which does not opt in
		groups    []string
		want      []string
	}{
		"a daemon's, ours":            {pod: daemonPod(), want: []string{owned}},
		"a daemon's, a later version": {pod: daemonPod(owner("everynode.dev/v1", "DaemonSet")), want: []string{owned}},
		"a daemon's, native":          {pod: daemonPod(owner("apps/v1", "DaemonSet")), want: []string{owned}},
		"with annotations":            {pod: daemonPod(annotated), want: []string{owned}},
		"with groups":                 {pod: daemonPod(), groups: []string{"system:authenticated", "system:masters"}, want: []string{owned}},
		"in kube-system":              {pod: daemonPod(), namespace: namespace("kube-system", false), want: []string{owned}},
		"another controller, the owner": {pod: daemonPod(controller(new(false)), func(pod *corev1.Pod) {
			pod.OwnerReferences = append(pod.OwnerReferences, daemonPod().OwnerReferences...)
		}), want: []string{owned}},

		"a ReplicaSet's":                        {pod: daemonPod(owner("apps/v1", "ReplicaSet"))},
		"another group's DaemonSet":             {pod: daemonPod(owner("apps.kruise.io/v1alpha1", "DaemonSet"))},
		"a group that begins as ours":           {pod: daemonPod(owner("everynode.dev.example.com/v1", "DaemonSet"))},
		"a DaemonSet of the core group":         {pod: daemonPod(owner("v1", "DaemonSet"))},
		"an owner that is no controller":        {pod: daemonPod(controller(new(false)))},
		"an owner without the field controller": {pod: daemonPod(controller(nil))},
		"without an owner":                      {pod: daemonPod(orphan)},

		"without nodeName":           {pod: daemonPod(noNode)},
		"with an empty nodeName":     {pod: emptyNode},
		"without nodeName, opted in": {pod: daemonPod(noNode, asks), namespace: namespace("ns", true)},
		"a mirror pod":               {pod: daemonPod(mirror)},
		"a mirror pod, opted in":     {pod: daemonPod(mirror, asks), namespace: namespace("ns", true)},
		"from a kubelet":             {pod: daemonPod(), groups: kubelet},
		"from a kubelet, opted in":   {pod: daemonPod(asks), namespace: namespace("ns", true), groups: kubelet},

		"opted in by label":                   {pod: daemonPod(orphan, asks), want: []string{podLabel}},
		"the label with another value":        {pod: daemonPod(orphan, asksWrongly)},
		"opted in by its namespace":           {pod: daemonPod(orphan), namespace: namespace("ns", true), want: []string{namespaceLabel}},
		"a ReplicaSet's, in such a namespace": {pod: daemonPod(owner("apps/v1", "ReplicaSet")), namespace: namespace("ns", true), want: []string{namespaceLabel}},
		"a daemon's that opts in both ways":   {pod: daemonPod(asks), namespace: namespace("ns", true), want: []string{owned, podLabel, namespaceLabel}},
		"everynode-system, opted in":          {pod: daemonPod(asks), namespace: namespace("everynode-system", true)},
		"everynode-system, not opted in":      {pod: daemonPod(), namespace: namespace("everynode-system", false)},
	}
	called := newCalls(t)
	for name, test := range tests {
		for representation, schemaless := range representations {
			t.Run(name+", "+representation, func(t *testing.T) {
				in := test.namespace
				if in == nil {
					in = namespace("ns", false)
				}
				got, err := called.by(t.Context(), in, test.pod, test.groups, schemaless)
				if err != nil {
					t.Fatalf("a condition errs, which refuses the pod: %v", err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("entries that call the webhook (-want, +got):\n%s", diff)
				}
			})
		}
	}
}

// The conditions in CEL and the rules in Go express the same rule: the entry for daemons' pods matches exactly
// those pods that the rewrite assigns to our scheduler.
func TestRegistrationAgreesWithOwnedByDaemon(t *testing.T) {
	called := newCalls(t)
	rapid.Check(t, func(t *rapid.T) {
		pod := drawPod(t)
		controllers := 0
		for _, owner := range pod.OwnerReferences {
			if owner.Controller != nil && *owner.Controller {
				controllers++
			}
		}
		if controllers > 1 {
			t.Skip("the API server refuses a pod with two controllers")
		}
		groups := rapid.SliceOfN(rapid.SampledFrom([]string{"system:nodes", "system:authenticated", "system:node"}), 0, 3).Draw(t, "groups")
		_, isMirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
		_, isOwned := daemon.OwnedByDaemon(pod)
		want := isOwned && pod.Spec.NodeName != "" && !isMirror && !slices.Contains(groups, "system:nodes")

		names, err := called.by(t.Context(), labels.Set{corev1.LabelMetadataName: "ns"}, pod, groups, rapid.Bool().Draw(t, "schemaless"))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(names, owned); got != want {
			t.Fatalf("the webhook is called: %v, want %v\ngroups %v, pod %+v", got, want, groups, pod)
		}
	})
}
