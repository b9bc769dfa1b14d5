package faults

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/faults/proxy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

func binds(write *proxy.Write) bool { return write.Subresource == "binding" }

// F6: the scheduler is killed when it binds a pod: before the API server knows, or after, or without having the answer.
func TestF06SchedulerKilledAtBinding(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		scheduler := r.Component(lab.EverynodeScheduler)
		for range 2 {
			r.during("the scheduler is killed when it binds", func() {
				killed := r.killAt(r.stage.scheduler, scheduler, binds, 1+r.rng.IntN(5))
				r.rollAll()
				r.within("the scheduler was killed", patience, killed)
				r.happened("the scheduler was killed", !scheduler.Running())
				r.churn(3)
				r.restart(scheduler)
			})
		}
	}}.test(t)
}

// F6: the scheduler is suspended between its decision and its binding. Another one decides about the same pods and their
// successors, and then the first goes on.
func TestF06SchedulerSuspendedAtBinding(t *testing.T) {
	fault{inflict: func(r *run) {
		scheduler := r.Component(lab.EverynodeScheduler)
		r.during("the scheduler is suspended when it binds", func() {
			suspended, goOn := make(chan struct{}), make(chan struct{})
			var seen atomic.Int64
			nth := int64(1 + r.rng.IntN(5))
			r.stage.scheduler.Harm(func(write *proxy.Write) proxy.Harm {
				if !binds(write) || seen.Add(1) != nth {
					return proxy.Harm{}
				}
				return proxy.Harm{Before: func() {
					if err := scheduler.Pause(); err == nil {
						close(suspended)
					}
					select {
					case <-goOn:
					case <-r.T.Context().Done():
					}
				}}
			})
			r.rollAll()
			r.within("the scheduler was suspended", patience, suspended)
			r.stage.scheduler.Harm(nil)
			second, err := r.Replica(r.T.Context(), lab.EverynodeScheduler, alone)
			r.Must(err)
			r.churn(4)
			r.rollAll()
			r.churn(2)
			close(goOn)
			r.Must(scheduler.Resume())
			r.churn(4)
			r.Must(second.Stop(r.T.Context()))
		})
	}, exits: []string{"leaderelection lost"}}.test(t)
}

// F6: two schedulers are active at the same time.
func TestF06TwoSchedulers(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		p, err := r.stage.route(lab.EverynodeScheduler)
		r.Must(err)
		r.T.Cleanup(p.Close)
		r.T.Cleanup(func() { r.Must(r.Route(lab.EverynodeScheduler, r.stage.scheduler.URL)) })
		before := r.stage.scheduler.Counts().Writes
		r.during("two schedulers are active", func() {
			second, err := r.Replica(r.T.Context(), lab.EverynodeScheduler, alone)
			r.Must(err)
			for range 2 {
				r.rollAll()
				r.churn(6)
			}
			r.happened("both wrote", p.Counts().Writes > 0 && r.stage.scheduler.Counts().Writes > before)
			r.Must(second.Stop(r.T.Context()))
		})
	}}.test(t)
}

// F12: a node is full of pods of lower priority, which another scheduler places again and again into the room that preemption
// makes.
func TestF12PreemptionContention(t *testing.T) {
	const room = 4 // pods of one CPU on a node
	var node string
	var crowd *appsv1.Deployment
	fault{long: true, idle: true, inflict: func(r *run) {
		node = r.aNode()
		low, high := priorityClass("faults-low", 10), priorityClass("faults-high", 1000)
		r.Make(low, high)
		crowd = deployment("crowd", node, low.Name, room+4)
		r.Make(crowd)
		r.waitForReady(crowd, room)
		r.during("room on a full node is contended", func() {
			for _, kind := range bothKinds {
				w := r.addToFleet(kind, labtest.DaemonSet(r.nameOf("preempting", kind), onIncluded, rolling, func(set *v1alpha1.DaemonSet) {
					set.Spec.Template.Spec.PriorityClassName = high.Name
					set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
				}))
				r.Eventually("the pod has found room", func(ctx context.Context) (string, error) {
					pods, err := r.PodsOf(ctx, w)
					for i := range pods {
						if pods[i].Spec.NodeName == node {
							return "", nil
						}
					}
					return "it waits", err
				})
			}
			r.rollAll()
			r.pause(5*time.Second, 8*time.Second)
		})
		fewer := crowd.DeepCopy()
		fewer.Spec.Replicas = new(int32(1))
		r.Must(r.Patch(r.T.Context(), fewer, client.MergeFrom(crowd)))
	}, judge: func(r *run, h *history.History) {
		victims := 0
		for i := range h.Records {
			if pod := deletedPod(&h.Records[i]); pod != nil && pod.Spec.NodeName == node && strings.HasPrefix(pod.Name, crowd.Name+"-") && preempted(pod) {
				victims++
			}
		}
		r.happened("pods were preempted", victims >= 2)
		r.T.Logf("%d victims", victims)
	}}.test(t)
}

// deletedPod returns the pod of a record that says that a pod is gone.
func deletedPod(record *history.Record) *corev1.Pod {
	if record.Change == nil || record.Change.Type != watch.Deleted {
		return nil
	}
	pod, _ := record.Change.Object.(*corev1.Pod)
	return pod
}

func preempted(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Reason == "PreemptionByScheduler" {
			return true
		}
	}
	return false
}

func priorityClass(name string, value int32) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
}

// deployment returns pods of one CPU on a node, of default-scheduler.
func deployment(name, node, class string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				PriorityClassName: class, NodeSelector: map[string]string{corev1.LabelHostname: node}, TerminationGracePeriodSeconds: new(int64(1)),
				Containers: []corev1.Container{{Name: "main", Image: "example.com/crowd", Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
				}}},
			}},
		},
	}
}

func (r *run) waitForReady(set *appsv1.Deployment, want int32) {
	r.T.Helper()
	r.Eventually("pods of "+set.Name+" are ready", func(ctx context.Context) (string, error) {
		var now appsv1.Deployment
		if err := r.Get(ctx, client.ObjectKeyFromObject(set), &now); err != nil || now.Status.ReadyReplicas < want {
			return "not yet", err
		}
		return "", nil
	})
}
