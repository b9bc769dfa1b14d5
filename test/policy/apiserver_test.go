package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/discovery"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/openapi/openapitest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // pods in every version

	"github.com/everynode/everynode/deploy"
)

// apiServer is the part of an API server that evaluates policies: its own two plugins for policies,
// created, fed by informers and called as in the API server, without the rest. So compilation,
// matching, cost limits, patching and defaulting are upstream's, not reimplemented by this test.
type apiServer struct {
	mutating   admission.MutationInterface
	validating admission.ValidationInterface
	objects    admission.ObjectInterfaces
}

// newAPIServer serves the policies and bindings of a manifest in the given namespaces.
func newAPIServer(t testing.TB, manifest []byte, namespaces ...*corev1.Namespace) *apiServer {
	t.Helper()
	objects := policies(t, manifest)
	for _, namespace := range namespaces {
		objects = append(objects, namespace)
	}
	client := schemaClient{fake.NewClientset(objects...)}
	factory := informers.NewSharedInformerFactory(client, 0)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion})
	mapper.Add(podKind, meta.RESTScopeNamespace)
	initialize := initializer.New(client, dynamicfake.NewSimpleDynamicClient(legacyscheme.Scheme), factory,
		authorizerfactory.NewAlwaysAllowAuthorizer(), utilfeature.DefaultFeatureGate, compatibility.DefaultBuildEffectiveVersion(), t.Context().Done(), mapper)

	mutator, err := mutating.NewPlugin(nil)
	if err != nil {
		t.Fatal(err)
	}
	validator, err := validating.NewPlugin(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []admission.Interface{mutator, validator} {
		initialize.Initialize(plugin)
		if err := plugin.(admission.InitializationValidator).ValidateInitialization(); err != nil {
			t.Fatal(err)
		}
	}
	factory.Start(t.Context().Done())
	s := &apiServer{mutating: mutator, validating: validator, objects: admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme)}
	s.waitUntilReady(t)
	return s
}

// waitUntilReady waits until pods are patched: the plugin fetches the schema of pods
// asynchronously, and until then the API server asks clients to retry.
func (s *apiServer) waitUntilReady(t testing.TB) {
	t.Helper()
	asks := request{namespace: "everynode-test-ready", pod: &corev1.Pod{}}
	asks.pod.Labels = map[string]string{"everynode.dev/placement": "scheduler"}
	asks.pod.Spec.NodeName = "n1"
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := s.admit(t.Context(), asks)
		if !apierrors.IsServiceUnavailable(err) && !strings.Contains(fmt.Sprint(err), "not yet ready") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the policies are not served: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// request is the creation of a pod, with the other data that admission reads.
type request struct {
	namespace string
	groups    []string // of the user
	username  string
	pod       *corev1.Pod
}

// admit returns the result of the creation of a pod: mutating admission, the API server's
// own validation, of which only the interlock matters here, and validating admission.
func (s *apiServer) admit(ctx context.Context, r request) (*corev1.Pod, error) {
	placed, err := s.mutate(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := interlock(placed); err != nil {
		return nil, err
	}
	r.pod = placed
	attributes, err := r.attributes()
	if err != nil {
		return nil, err
	}
	return placed, s.validating.Validate(ctx, attributes, s.objects)
}

func (s *apiServer) mutate(ctx context.Context, r request) (*corev1.Pod, error) {
	attributes, err := r.attributes()
	if err != nil {
		return nil, err
	}
	if err := s.mutating.Admit(ctx, attributes, s.objects); err != nil {
		return nil, err
	}
	placed := &corev1.Pod{}
	if err := legacyscheme.Scheme.Convert(attributes.GetObject(), placed, nil); err != nil {
		return nil, fmt.Errorf("converting the admitted pod: %w", err)
	}
	return placed, nil
}

// attributes returns what the API server passes to admission: the pod in its internal form.
func (r request) attributes() (admission.Attributes, error) {
	internal := &core.Pod{}
	if err := legacyscheme.Scheme.Convert(r.pod.DeepCopy(), internal, nil); err != nil {
		return nil, fmt.Errorf("converting the pod: %w", err)
	}
	who := &user.DefaultInfo{Name: r.username, Groups: r.groups}
	attributes := admission.NewAttributesRecord(internal, nil, podKind, r.namespace, r.pod.Name, podResource, "", admission.Create, &metav1.CreateOptions{}, false, who)
	return attributes, nil
}

var errInterlock = errors.New("spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared")

// interlock is the rule of ValidatePodCreate (k8s.io/kubernetes pkg/apis/core/validation) that
// the design relies on.
func interlock(pod *corev1.Pod) error {
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		return errInterlock
	}
	return nil
}

var kinds = map[string]runtime.Object{
	"MutatingAdmissionPolicy":          &admissionregistrationv1.MutatingAdmissionPolicy{},
	"MutatingAdmissionPolicyBinding":   &admissionregistrationv1.MutatingAdmissionPolicyBinding{},
	"ValidatingAdmissionPolicy":        &admissionregistrationv1.ValidatingAdmissionPolicy{},
	"ValidatingAdmissionPolicyBinding": &admissionregistrationv1.ValidatingAdmissionPolicyBinding{},
}

// policies reads the policies and bindings of a manifest strictly, with the API server's defaults where
// the plugins rely on them.
func policies(t testing.TB, manifest []byte) []runtime.Object {
	t.Helper()
	found, err := deploy.Objects(manifest, slices.Collect(maps.Keys(kinds))...)
	if err != nil || len(found) == 0 {
		t.Fatalf("the manifest has no policies: %v", err)
	}
	var objects []runtime.Object
	for _, item := range found {
		object := kinds[item.GetKind()].DeepCopyObject()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(item.Object, object, true); err != nil {
			t.Fatalf("%s %s: %v", item.GetKind(), item.GetName(), err)
		}
		objects = append(objects, object)
	}
	return objects
}

// schemaClient is a fake client that has the schemas of Kubernetes' kinds.
type schemaClient struct{ *fake.Clientset }

func (c schemaClient) Discovery() discovery.DiscoveryInterfaces {
	return schemaDiscovery{c.Clientset.Discovery()}
}

type schemaDiscovery struct{ discovery.DiscoveryInterfaces }

func (schemaDiscovery) OpenAPIV3() openapi.Client { return openapitest.NewEmbeddedFileClient() }
