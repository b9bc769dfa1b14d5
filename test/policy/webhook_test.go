package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the library with which the API server applies patches
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	admissionwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/webhook"
)

// registered is everynode-webhook behind its registration: the entries of the manifests
// select pods, by the API server's own evaluation, and its HTTP handler answers.
type registered struct {
	entries  []admissionwebhook.WebhookAccessor
	matchers []matchconditions.Matcher
	handler  http.Handler
}

func newRegistered(t testing.TB) *registered {
	t.Helper()
	objects, err := deploy.Objects(deploy.Install, "MutatingWebhookConfiguration")
	if err != nil {
		t.Fatal(err)
	}
	w := &registered{handler: webhook.Handler(logr.Discard(), nil, nil)}
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	for _, object := range objects {
		configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, configuration); err != nil {
			t.Fatal(err)
		}
		for i := range configuration.Webhooks {
			entry := &configuration.Webhooks[i]
			if entry.ObjectSelector == nil {
				entry.ObjectSelector = &metav1.LabelSelector{} // the API server's default
			}
			accessor := admissionwebhook.NewMutatingWebhookAccessor(entry.Name, configuration.Name, entry)
			w.entries = append(w.entries, accessor)
			w.matchers = append(w.matchers, accessor.GetCompiledMatcher(compiler))
		}
	}
	if len(w.entries) == 0 {
		t.Fatal("no webhook is registered")
	}
	return w
}

// admit returns the result of the creation of a pod: each entry that selects it is called in turn.
func (w *registered) admit(ctx context.Context, r request) (*corev1.Pod, error) {
	for i, entry := range w.entries {
		chosen, err := w.chooses(ctx, i, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.GetName(), err)
		}
		if !chosen {
			continue
		}
		if r.pod, err = w.call(r.pod); err != nil {
			return nil, err
		}
	}
	return r.pod, interlock(r.pod)
}

func (w *registered) chooses(ctx context.Context, i int, r request) (bool, error) {
	inNamespace, namespaceErr := w.entries[i].GetParsedNamespaceSelector()
	ofObject, objectErr := w.entries[i].GetParsedObjectSelector()
	if err := errors.Join(namespaceErr, objectErr); err != nil {
		return false, err
	}
	for _, namespace := range namespaces {
		if namespace.Name == r.namespace && !inNamespace.Matches(labels.Set(namespace.Labels)) {
			return false, nil
		}
	}
	if !ofObject.Matches(labels.Set(r.pod.Labels)) {
		return false, nil
	}
	attributes := &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(r.pod, nil, podKind, r.namespace, r.pod.Name, podResource, "",
			admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: r.username, Groups: r.groups}),
		VersionedObject: admission.NewLazyObject(r.pod),
		VersionedKind:   podKind,
	}
	result := w.matchers[i].Match(ctx, attributes, nil, nil)
	return result.Matches, result.Error
}

// call posts the review and applies the patch, as the API server does.
func (w *registered) call(pod *corev1.Pod) (*corev1.Pod, error) {
	sent := pod.DeepCopy()
	sent.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	raw, err := json.Marshal(sent)
	if err != nil {
		return nil, err
	}
	review := &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "uid", Operation: admissionv1.Create, Namespace: pod.Namespace, Name: pod.Name,
			Kind:     metav1.GroupVersionKind(podKind),
			Resource: metav1.GroupVersionResource(podResource),
			Object:   runtime.RawExtension{Raw: raw},
		},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return nil, err
	}
	call := httptest.NewRequest(http.MethodPost, webhook.PlacementPath, bytes.NewReader(body))
	call.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, call)
	answer := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), answer); err != nil || answer.Response == nil {
		return nil, fmt.Errorf("status %d, body %s: %w", recorder.Code, recorder.Body, err)
	}
	if !answer.Response.Allowed {
		return nil, errors.New(answer.Response.Result.Message)
	}
	if len(answer.Response.Patch) == 0 {
		return pod, nil
	}
	patch, err := jsonpatch.DecodePatch(answer.Response.Patch)
	if err != nil {
		return nil, err
	}
	patched, err := patch.Apply(raw)
	if err != nil {
		return nil, err
	}
	placed := &corev1.Pod{}
	if err := json.Unmarshal(patched, placed); err != nil {
		return nil, err
	}
	placed.TypeMeta = metav1.TypeMeta{}
	return placed, nil
}
