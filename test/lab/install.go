package lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	podsecurity "k8s.io/pod-security-admission/api"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/deploy"
)

const (
	everynodeNamespace = "everynode-system"
	fieldManager       = "everynode-lab"

	schedulerConfigMap  = "everynode-scheduler-config"
	schedulerConfigKey  = "config.yaml"
	schedulerConfigFile = "everynode-scheduler.yaml"
)

// readManifest parses a manifest, and sorts namespaces first and CRDs second.
func readManifest(manifest []byte) ([]*unstructured.Unstructured, error) {
	objects, err := deploy.Objects(manifest)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return installRank(a) - installRank(b) })
	return objects, nil
}

func installRank(object *unstructured.Unstructured) int {
	switch object.GetKind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	default:
		return 2
	}
}

// adapt converts an object for the lab, or returns nil if the lab does not use it: Deployments, because the lab
// runs the processes itself, and the webhook's configuration if no webhook is called. The namespace enforces no
// Pod Security, because tests create other pods there.
func (l *Lab) adapt(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	switch object.GetKind() {
	case "Deployment":
		return nil, nil
	case "Namespace":
		labels := object.GetLabels()
		delete(labels, podsecurity.EnforceLevelLabel)
		object.SetLabels(labels)
		return object, nil
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		if !l.options.asksWebhook() {
			return nil, nil
		}
		ca := l.pki.ca.cert
		if l.options.Certificates != CertificatesFiles {
			ca = nil // everynode-controller writes it
		}
		return callByURL(object, "https://"+l.Component(Webhook).Address(), ca)
	case "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding":
		return l.inPolicyAPI(object), nil
	default:
		return object, nil
	}
}

// callByURL makes every webhook of a configuration use a URL instead of a Service: the same path, and a CA
// unless it is nil.
func callByURL(object *unstructured.Unstructured, base string, ca []byte) (*unstructured.Unstructured, error) {
	object = object.DeepCopy()
	webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil {
		return nil, fmt.Errorf("webhook configuration %s: %w", object.GetName(), err)
	}
	for i := range webhooks {
		webhook, ok := webhooks[i].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("webhook configuration %s: entry %d is not an object", object.GetName(), i)
		}
		path, _, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil {
			return nil, fmt.Errorf("webhook configuration %s: %w", object.GetName(), err)
		}
		config := map[string]any{"url": base + path}
		if ca != nil {
			config["caBundle"] = base64.StdEncoding.EncodeToString(ca)
		}
		webhook["clientConfig"] = config
	}
	return object, unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
}

// installer applies manifests by server-side apply.
type installer struct {
	client dynamic.Interface
	mapper meta.RESTMapper
}

func (l *Lab) newInstaller() (*installer, error) {
	client, err := dynamic.NewForConfig(l.Config)
	if err != nil {
		return nil, err
	}
	discovery, err := kubernetes.NewForConfig(l.Config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery.Discovery()))
	return &installer{client: client, mapper: mapper}, nil
}

// apply sends one manifest.
func (i *installer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := i.resource(object)
	if err != nil {
		return err
	}
	if _, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("installing %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// remove deletes the object of a manifest.
func (i *installer) remove(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := i.resource(object)
	if err != nil {
		return err
	}
	if err := resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

func (i *installer) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := i.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("installing %s %s: %w", kind.Kind, object.GetName(), err)
	}
	resource := i.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return resource.Namespace(object.GetNamespace()), nil
	}
	return resource, nil
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// established returns why the API of a CRD is not served yet.
func (i *installer) established(ctx context.Context, name string) (string, error) {
	crd, err := i.client.Resource(crds).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	conditions, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
	if err != nil {
		return "", err
	}
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if condition["type"] == "Established" && condition["status"] == "True" {
			return "", nil
		}
	}
	return "not Established yet", nil
}

// install applies a manifest and waits until its CRDs are served. The scheduler's configuration is
// also written to the file its process reads.
func (l *Lab) install(ctx context.Context, manifest []byte) error {
	objects, err := readManifest(manifest)
	if err != nil {
		return err
	}
	installer, err := l.newInstaller()
	if err != nil {
		return fmt.Errorf("installing Everynode: %w", err)
	}
	for _, object := range objects {
		adapted, err := l.adapt(object)
		if err != nil {
			return err
		}
		if adapted == nil {
			continue
		}
		if err := installer.apply(ctx, adapted); err != nil {
			return err
		}
		if object.GetKind() == "ConfigMap" && object.GetName() == schedulerConfigMap {
			if err := l.writeSchedulerConfig(object); err != nil {
				return err
			}
		}
	}
	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		err := Eventually(ctx, "CRD "+object.GetName()+" is established", func(ctx context.Context) (string, error) {
			return installer.established(ctx, object.GetName())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeSchedulerConfig writes the shipped KubeSchedulerConfiguration with the lab's kubeconfig; in a cluster
// the scheduler uses its service account.
func (l *Lab) writeSchedulerConfig(configMap *unstructured.Unstructured) error {
	text, found, err := unstructured.NestedString(configMap.Object, "data", schedulerConfigKey)
	if err != nil || !found {
		return fmt.Errorf("ConfigMap %s has no text under %s: %w", schedulerConfigMap, schedulerConfigKey, err)
	}
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return fmt.Errorf("ConfigMap %s, %s: %w", schedulerConfigMap, schedulerConfigKey, err)
	}
	if err := unstructured.SetNestedField(config, l.kubeconfigOf(EverynodeScheduler), "clientConnection", "kubeconfig"); err != nil {
		return fmt.Errorf("ConfigMap %s, %s: %w", schedulerConfigMap, schedulerConfigKey, err)
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(l.path(schedulerConfigFile), data, 0o600)
}

// authenticate writes the kubeconfig of each of Everynode's processes that uses the API server, with a token of
// its own service account, which may be missing for one that is not started.
func (l *Lab) authenticate(ctx context.Context) error {
	for _, name := range []string{Controller, Webhook, EverynodeScheduler} {
		user, err := serviceAccountUser(ctx, l.Client, everynodeNamespace, name)
		if apierrors.IsNotFound(err) && !l.options.starts(name) {
			continue
		}
		if err != nil {
			return err
		}
		if err := writeKubeconfig(l.kubeconfigOf(name), l.Config.Host, l.pki.ca.cert, user); err != nil {
			return err
		}
	}
	return nil
}
