package schedplugin

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"

	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/schedplugin/podevents"
)

// shipped returns the configuration of the secondary install.
func shipped(t *testing.T) string {
	t.Helper()
	return configIn(t, deploy.Install)
}

// primary returns the configuration of the primary install.
func primary(t *testing.T) string {
	t.Helper()
	return configIn(t, deploy.Primary)
}

func configIn(t *testing.T, manifest []byte) string {
	t.Helper()
	objects, err := deploy.Objects(manifest, "ConfigMap")
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d ConfigMaps, %v, want 1", len(objects), err)
	}
	config, found, err := unstructured.NestedString(objects[0].Object, "data", "config.yaml")
	if !found || err != nil {
		t.Fatalf("ConfigMap %s has no config.yaml: %v", objects[0].GetName(), err)
	}
	return config
}

// load reads a configuration as kube-scheduler does: strictly, with defaults, validated.
func load(t *testing.T, source string) *config.KubeSchedulerConfiguration {
	t.Helper()
	object, kind, err := scheme.Codecs.UniversalDecoder().Decode([]byte(source), nil, nil)
	if err != nil {
		t.Fatalf("decoding the configuration: %v", err)
	}
	loaded, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		t.Fatalf("the configuration is a %T", object)
	}
	loaded.APIVersion = kind.GroupVersion().String()
	if err := validation.ValidateKubeSchedulerConfiguration(loaded); err != nil {
		t.Fatalf("validating the configuration: %v", err)
	}
	return loaded
}

// newScheduler creates kube-scheduler with our registry, as cmd/everynode-scheduler does, without
// running it. Its frameworks see the given pods and nodes.
func newScheduler(ctx context.Context, loaded *config.KubeSchedulerConfiguration, pods []*corev1.Pod, nodes []*corev1.Node) (*scheduler.Scheduler, *fake.Clientset, error) {
	client := fake.NewClientset()
	for _, p := range pods {
		if err := client.Tracker().Add(p); err != nil {
			return nil, nil, err
		}
	}
	factory := podevents.Split(informers.NewSharedInformerFactory(client, 0))
	sched, err := scheduler.New(ctx, client, factory, nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(100) },
		scheduler.WithProfiles(loaded.Profiles...),
		scheduler.WithFrameworkOutOfTreeRegistry(Registry()),
		scheduler.WithNodeInfoSnapshot(internalcache.NewSnapshot(bound(pods), nodes)))
	if err != nil {
		return nil, nil, err
	}
	Extend(sched, Options{})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return sched, client, nil
}

func bound(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.Spec.NodeName == "" })
}
