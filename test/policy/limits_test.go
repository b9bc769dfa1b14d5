package policy

import (
	"fmt"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	internalv1 "k8s.io/kubernetes/pkg/apis/admissionregistration/v1"
	"k8s.io/kubernetes/pkg/apis/admissionregistration/validation"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
)

// The API server's own validation, which compiles every expression.
func TestPoliciesAreValid(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{admissionregistration.AddToScheme, internalv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range append(policies(t, deploy.Policy), policies(t, deploy.Install)...) {
		scheme.Default(object)
		var errs field.ErrorList
		convert := func(internal runtime.Object) {
			t.Helper()
			if err := scheme.Convert(object, internal, nil); err != nil {
				t.Fatal(err)
			}
		}
		switch object.(type) {
		case *admissionregistrationv1.MutatingAdmissionPolicy:
			internal := &admissionregistration.MutatingAdmissionPolicy{}
			convert(internal)
			errs = validation.ValidateMutatingAdmissionPolicy(internal)
		case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
			internal := &admissionregistration.MutatingAdmissionPolicyBinding{}
			convert(internal)
			errs = validation.ValidateMutatingAdmissionPolicyBinding(internal)
		case *admissionregistrationv1.ValidatingAdmissionPolicy:
			internal := &admissionregistration.ValidatingAdmissionPolicy{}
			convert(internal)
			errs = validation.ValidateValidatingAdmissionPolicy(internal)
		case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
			internal := &admissionregistration.ValidatingAdmissionPolicyBinding{}
			convert(internal)
			errs = validation.ValidateValidatingAdmissionPolicyBinding(internal)
		}
		if len(errs) > 0 {
			t.Errorf("the API server would refuse %T: %v", object, errs.ToAggregate())
		}
	}
}

// An expression that costs too much fails, and a failed policy refuses the pod. Pods that do not opt in must
// not be affected, however large they are (S7); those that opt in may be far larger than real ones.
func TestPoliciesAcceptLargePods(t *testing.T) {
	policies := newAPIServer(t, deploy.Policy, namespaces...)
	large := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "plain", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n1"}}
		change(pod)
		return received(pod)
	}
	asks := func(pod *corev1.Pod) {
		metav1.SetMetaDataLabel(&pod.ObjectMeta, v1alpha1.PlacementLabel, v1alpha1.PlacementScheduler)
	}
	terms := func(n, expressions int) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			selector := &corev1.NodeSelector{}
			for i := range n {
				term := corev1.NodeSelectorTerm{}
				for j := range expressions {
					term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{Key: fmt.Sprintf("key-%d-%d", i, j), Operator: corev1.NodeSelectorOpExists})
				}
				selector.NodeSelectorTerms = append(selector.NodeSelectorTerms, term)
			}
			pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: selector}}
		}
	}
	tests := map[string]*corev1.Pod{
		"5,000 owners, not opted in": large(func(pod *corev1.Pod) {
			for i := range 5000 {
				pod.OwnerReferences = append(pod.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: fmt.Sprint("owner-", i), UID: "uid", Controller: new(false)})
			}
		}),
		"5,000 labels and annotations, not opted in": large(func(pod *corev1.Pod) {
			pod.Labels, pod.Annotations = map[string]string{}, map[string]string{}
			for i := range 5000 {
				pod.Labels[fmt.Sprint("label-", i)], pod.Annotations[fmt.Sprint("annotation-", i)] = "value", "value"
			}
		}),
		"10,000 terms, not opted in":              large(terms(10000, 1)),
		"500 terms, opted in":                     large(func(pod *corev1.Pod) { terms(500, 4)(pod); asks(pod) }),
		"one term of 2,000 expressions, opted in": large(func(pod *corev1.Pod) { terms(1, 2000)(pod); asks(pod) }),
	}
	for name, pod := range tests {
		t.Run(name, func(t *testing.T) {
			r := request{namespace: "plain", username: "somebody", pod: pod}
			if err := agree(t.Context(), v1alpha1.PlacedByPolicy, policies, r); err != nil {
				text := err.Error()
				t.Error(text[:min(len(text), 500)])
			}
		})
	}
}
