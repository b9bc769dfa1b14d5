package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
)

const (
	namespace     = "ns"
	schedulerUser = "system:serviceaccount:everynode-system:everynode-scheduler"
	tester        = "tester" // who creates pods, and plays the kubelet
)

// cluster is one node, one DaemonSet and pods. It records what happens to them.
type cluster struct {
	client *fake.Clientset
	set    *v1alpha1.DaemonSet

	mu       sync.Mutex
	history  *history.History
	revision int64
	pods     map[string]*corev1.Pod
}

func newCluster(title, room string) *cluster {
	labels := map[string]string{"app": "d"}
	c := &cluster{
		client: fake.NewClientset(), pods: map[string]*corev1.Pod{},
		history: &history.History{Title: title, Schedulers: []string{schedulerUser}},
		set: &v1alpha1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "d", UID: "uid-d", Generation: 1},
			Spec: v1alpha1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
			}},
		},
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-n1"},
		Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(room)}},
	}
	node.Status.Capacity = node.Status.Allocatable
	check(c.client.Tracker().Add(node))
	c.note(watch.Added, history.Nodes, node)
	c.note(watch.Added, history.DaemonSets, c.set)
	c.client.PrependReactor("create", "pods", c.onBinding)
	c.client.PrependReactor("delete", "pods", c.onDelete)
	return c
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *cluster) record(record history.Record) {
	record.At = time.Now()
	c.history.Records = append(c.history.Records, record)
}

func (c *cluster) note(event watch.EventType, of history.Resource, object client.Object) {
	c.revision++
	c.record(history.Record{Revision: c.revision, Change: &history.Change{Type: event, Resource: of, Object: object.DeepCopyObject().(client.Object)}})
}

func (c *cluster) asked(user, verb, subresource, name string) {
	c.record(history.Record{Request: &history.Request{
		User: user, Verb: verb, Resource: string(history.Pods), Subresource: subresource, Namespace: namespace, Name: name, Code: http.StatusOK,
	}})
}

// onBinding binds a pod as the API server does.
func (c *cluster) onBinding(action clienttesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttesting.CreateAction)
	if !ok || action.GetSubresource() != "binding" {
		return false, nil, nil
	}
	binding, ok := create.GetObject().(*corev1.Binding)
	if !ok {
		return false, nil, nil
	}
	c.mu.Lock()
	c.asked(schedulerUser, "create", "binding", binding.Name)
	c.mu.Unlock()
	c.change(binding.Name, func(pod *corev1.Pod) { pod.Spec.NodeName = binding.Target.Name })
	return true, binding, nil
}

// onDelete makes a pod terminating, whose end the test decides.
func (c *cluster) onDelete(action clienttesting.Action) (bool, runtime.Object, error) {
	deletion, ok := action.(clienttesting.DeleteAction)
	if !ok {
		return false, nil, nil
	}
	c.mu.Lock()
	c.asked(schedulerUser, "delete", "", deletion.GetName())
	c.mu.Unlock()
	c.change(deletion.GetName(), func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
	return true, nil, nil
}

var podResource = corev1.SchemeGroupVersion.WithResource("pods")

// change changes a pod that exists.
func (c *cluster) change(name string, change func(*corev1.Pod)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pods[name] == nil {
		return
	}
	pod := c.pods[name].DeepCopy()
	change(pod)
	c.pods[name] = pod
	c.note(watch.Modified, history.Pods, pod)
	check(c.client.Tracker().Update(podResource, pod, namespace))
}

// addPod creates a pod, on a node if one is given.
func (c *cluster) addPod(pod *corev1.Pod, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod.Spec.NodeName = node
	if node != "" {
		ready(pod)
	}
	c.asked(tester, "create", "", pod.Name)
	c.pods[pod.Name] = pod
	c.note(watch.Added, history.Pods, pod)
	check(c.client.Tracker().Create(podResource, pod, namespace))
}

// terminate deletes a pod as a user does.
func (c *cluster) terminate(name string) {
	c.mu.Lock()
	c.asked(tester, "delete", "", name)
	c.mu.Unlock()
	c.change(name, func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
}

// remove removes a pod.
func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(watch.Deleted, history.Pods, c.pods[name])
	delete(c.pods, name)
	check(c.client.Tracker().Delete(podResource, namespace, name))
}

// finishTerminating removes the pods that terminate.
func (c *cluster) finishTerminating() {
	c.mu.Lock()
	var ending []string
	for name, pod := range c.pods {
		if pod.DeletionTimestamp != nil {
			ending = append(ending, name)
		}
	}
	c.mu.Unlock()
	for _, name := range ending {
		c.remove(name)
	}
}

// look gives the scheduler time to do what it must not do.
func (*cluster) look() { time.Sleep(lookFor) }

func (c *cluster) bound(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[name] != nil && c.pods[name].Spec.NodeName != ""
}

func (c *cluster) end() *history.History {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record(history.Record{Mark: &history.Mark{Kind: history.Settled}})
	ended := *c.history
	return &ended
}

// daemonPod returns a pod of the DaemonSet that is pinned to the node.
func (c *cluster) daemonPod(name string) *corev1.Pod {
	pod := otherPod(name, priority)
	pod.Labels = c.set.Spec.Template.Labels
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(c.set, v1alpha1.GroupVersion.WithKind("DaemonSet"))}
	pod.Spec.SchedulerName = v1alpha1.SchedulerName
	pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}}}},
	}}}
	return pod
}

func otherPod(name string, priority int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.Now()},
		Spec:       corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
	}
}

// start runs the scheduler of the secondary install.
func (c *cluster) start(ctx context.Context) { startScheduler(ctx, c.client) }
