package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"

	"github.com/everynode/everynode/deploy"
	"github.com/everynode/everynode/schedplugin"
	"github.com/everynode/everynode/schedplugin/podevents"
)

// startScheduler runs a scheduler with the shipped configuration, as cmd/everynode-scheduler does.
func startScheduler(ctx context.Context, client kubernetes.Interface) {
	loaded := configuration()
	factory := podevents.Split(informers.NewSharedInformerFactory(client, 0))
	sched, err := scheduler.New(ctx, client, factory, nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(1000) },
		scheduler.WithProfiles(loaded.Profiles...), scheduler.WithFrameworkOutOfTreeRegistry(schedplugin.Registry()))
	check(err)
	schedplugin.Extend(sched, schedplugin.Options{})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	check(sched.WaitForHandlersSync(ctx))
	go sched.Run(ctx)
}

func configuration() *config.KubeSchedulerConfiguration {
	objects, err := deploy.Objects(deploy.Install, "ConfigMap")
	check(err)
	if len(objects) != 1 {
		panic(fmt.Sprintf("%d ConfigMaps, want 1", len(objects)))
	}
	source, _, err := unstructured.NestedString(objects[0].Object, "data", "config.yaml")
	check(err)
	object, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(source), nil, nil)
	check(err)
	loaded, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		panic(fmt.Sprintf("the configuration is a %T", object))
	}
	return loaded
}
