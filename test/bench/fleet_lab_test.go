package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// fleet is a lab whose DaemonSets are measured.
type fleet struct {
	*labtest.Cluster
	tb    testing.TB
	fast  kubernetes.Interface // a client in protobuf
	nodes int

	// idle is the processor time of the programs in a period idleFor without changes.
	idle    map[string]time.Duration
	idleFor time.Duration
}

func startFleet(tb testing.TB, options lab.Options) *fleet {
	tb.Helper()
	if options.ExtraArgs == nil {
		options.ExtraArgs = map[string][]string{}
	}
	// As for kube-controller-manager in the lab, and as in the chart.
	options.ExtraArgs[lab.Scheduler] = append(options.ExtraArgs[lab.Scheduler], "--kube-api-qps=1000", "--kube-api-burst=2000")
	// As in the lab for the stock ones; on a machine that is overloaded for seconds, a leader would exit.
	options.ExtraArgs[lab.APIServer] = append(options.ExtraArgs[lab.APIServer], "--delete-collection-workers=8")
	for _, name := range []string{lab.Controller, lab.EverynodeScheduler} {
		options.ExtraArgs[name] = append(options.ExtraArgs[name], "--leader-elect=false")
	}
	c := labtest.Start(tb, options)
	config := rest.CopyConfig(c.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	fast, err := kubernetes.NewForConfig(config)
	c.Must(err)
	return &fleet{Cluster: c, tb: tb, fast: fast, nodes: options.Nodes, idle: map[string]time.Duration{}}
}

// cpu returns the processor time of every program that runs in the lab.
func (f *fleet) cpu() map[string]time.Duration {
	f.tb.Helper()
	times := map[string]time.Duration{}
	for _, name := range lab.ComponentNames {
		if pid := f.Component(name).PID(); pid != 0 {
			times[name] = cpuTime(f.tb, pid)
		}
	}
	return times
}

// measure returns the cost of a phase, without what the programs use when idle.
func (f *fleet) measure(phase func(context.Context)) cost {
	f.tb.Helper()
	ctx, cancel := context.WithTimeoutCause(f.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	time.Sleep(settling) // until the previous phase is finished
	idle, idleSince := f.cpu(), time.Now()
	time.Sleep(settling)
	before, begun := f.cpu(), time.Now()
	f.idleFor += begun.Sub(idleSince)
	phase(ctx)
	took := cost{wall: time.Since(begun), cpu: map[string]time.Duration{}}
	time.Sleep(settling) // events and statuses follow
	after, ended := f.cpu(), time.Now()
	for name := range after {
		f.idle[name] += before[name] - idle[name]
		idling := float64(f.idle[name]) * float64(ended.Sub(begun)) / float64(f.idleFor)
		took.cpu[name] = max(0, after[name]-before[name]-time.Duration(idling))
	}
	return took
}

// fleetDaemon is a DaemonSet of one side, and its pods as a watch has shown them.
type fleetDaemon struct {
	*fleet
	side
	*sightings
	set  *v1alpha1.DaemonSet
	load *labtest.Workload
}

func (f *fleet) daemon(s side, name string) *fleetDaemon {
	f.tb.Helper()
	set := labtest.DaemonSet(name, func(set *v1alpha1.DaemonSet) {
		unavailable := intstr.Parse(*fleetUnavailable)
		set.Spec.UpdateStrategy = v1alpha1.DaemonSetUpdateStrategy{
			Type:          appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &unavailable},
		}
		set.Spec.Template.Spec.Containers[0].Image = "example.com/fleet:v1"
	})
	return &fleetDaemon{fleet: f, side: s, set: set, sightings: f.watchPods(name)}
}

// create makes the DaemonSet and waits until each node has a ready pod of it.
func (d *fleetDaemon) create(ctx context.Context) {
	d.tb.Helper()
	d.load = d.MakeWorkload(d.kind, d.set)
	d.await(ctx, d.tb, "example.com/fleet:v1", d.nodes)
}

// update changes the image and waits until each node has a ready pod of it, and no other.
func (d *fleetDaemon) update(ctx context.Context, version string) {
	d.tb.Helper()
	image := "example.com/fleet:" + version
	d.ChangeWorkload(d.load, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = image })
	d.await(ctx, d.tb, image, d.nodes)
}

// remove deletes the DaemonSet and its pods.
func (d *fleetDaemon) remove() {
	d.tb.Helper()
	ctx, cancel := context.WithTimeoutCause(d.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	none := int64(0)
	d.Must(d.deleteSet(ctx))
	// On a busy machine the API server may exceed its own request timeout: retry.
	d.Eventually("the pods are deleted", func(ctx context.Context) (string, error) {
		return "", d.fast.CoreV1().Pods(d.set.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &none}, d.selector())
	})
	d.await(ctx, d.tb, "", 0)
	d.stop()
}

// selector selects the DaemonSet's pods.
func (d *fleetDaemon) selector() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "app=" + d.set.Name}
}

// deleteSet deletes only the DaemonSet; the garbage collector would delete its pods one by one.
func (d *fleetDaemon) deleteSet(ctx context.Context) error {
	orphan := metav1.DeletePropagationOrphan
	options := metav1.DeleteOptions{PropagationPolicy: &orphan}
	path := []string{"apis", d.kind.Group, d.kind.Version, "namespaces", d.set.Namespace, "daemonsets", d.set.Name}
	return d.API.CoreV1().RESTClient().Delete().AbsPath(path...).Body(&options).Do(ctx).Error()
}
