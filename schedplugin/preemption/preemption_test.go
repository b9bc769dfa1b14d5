package preemption

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	internalqueue "k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/everynode/everynode/internal/schedtest"
)

// rig is the plugin in a framework that filters by resources, on node n1 of 2 CPUs.
type rig struct {
	*testing.T
	plugin    *Preemption
	framework framework.Framework
	client    *fake.Clientset
	node      fwk.NodeInfo
	clock     *clocktesting.FakeClock
	events    *events.FakeRecorder
	activated chan string
	pod       *corev1.Pod
}

type activator chan string

func (a activator) Activate(_ klog.Logger, pods map[string]*corev1.Pod) {
	for name := range pods {
		a <- name
	}
}

func newRig(t *testing.T, pod *corev1.Pod) *rig {
	t.Helper()
	metrics.Register()
	r := &rig{
		T: t, pod: pod, client: fake.NewClientset(pod), clock: clocktesting.NewFakeClock(time.Now()),
		events: events.NewFakeRecorder(10), activated: make(chan string, 1),
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	factory := informers.NewSharedInformerFactory(r.client, 0)
	node := st.MakeNode().Name("n1").Capacity(map[corev1.ResourceName]string{corev1.ResourceCPU: "2", corev1.ResourcePods: "10"}).Obj()
	snapshot := internalcache.NewSnapshot(nil, []*corev1.Node{node})
	var err error
	r.framework, err = tf.NewFramework(ctx, []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin(queuesort.Name, queuesort.New),
		tf.RegisterBindPlugin(defaultbinder.Name, defaultbinder.New),
		tf.RegisterPluginAsExtensions(noderesources.Name, frameworkruntime.FactoryAdapter(feature.Features{}, noderesources.NewFit), "Filter", "PreFilter"),
	}, "",
		frameworkruntime.WithClientSet(r.client), frameworkruntime.WithEventRecorder(r.events), frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithPodNominator(internalqueue.NewSchedulingQueue(nil, factory)), frameworkruntime.WithPodActivator(activator(r.activated)),
		frameworkruntime.WithSnapshotSharedLister(snapshot), frameworkruntime.WithMutableSnapshotLister(snapshot),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()), frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()))
	if err != nil {
		t.Fatal(err)
	}
	// Without asynchronous preemption evictions are done when PostFilter returns.
	if r.plugin, err = newPlugin(ctx, defaultArgs(), r.framework, feature.Features{}, r.clock); err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if r.node, err = snapshot.NodeInfos().Get("n1"); err != nil {
		t.Fatal(err)
	}
	return r
}

// put adds pods of other schedulers to the node; gone removes them.
func (r *rig) put(pods ...*corev1.Pod) {
	r.Helper()
	for _, p := range pods {
		info, err := framework.NewPodInfo(p)
		if err != nil {
			r.Fatal(err)
		}
		r.node.AddPodInfo(info)
		if err := r.client.Tracker().Add(p); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *rig) gone(p *corev1.Pod) {
	r.Helper()
	if err := r.node.RemovePod(klog.Background(), p); err != nil {
		r.Fatal(err)
	}
}

// try runs a scheduling cycle that fails; it returns the pod's message, and the pods evicted since the last cycle.
func (r *rig) try() (message string, evicted []string) {
	r.Helper()
	state := framework.NewCycleState()
	if _, status, _ := r.framework.RunPreFilterPlugins(r.Context(), state, r.pod); !status.IsSuccess() {
		r.Fatal(status)
	}
	status := r.framework.RunFilterPluginsWithNominatedPods(r.Context(), state, r.pod, r.node)
	if status.IsSuccess() {
		r.Fatal("the pod fits")
	}
	statuses := framework.NewNodeToStatus(map[string]*fwk.Status{"n1": status}, fwk.NewStatus(fwk.UnschedulableAndUnresolvable))
	_, status = r.plugin.PostFilter(r.Context(), state, r.pod, statuses)
	for _, action := range r.client.Actions() {
		if action.GetVerb() == "delete" {
			evicted = append(evicted, action.(interface{ GetName() string }).GetName())
		}
	}
	r.client.ClearActions()
	slices.Sort(evicted)
	return status.Message(), evicted
}

// warning returns the next Warning event.
func (r *rig) warning() string {
	for {
		if event := <-r.events.Events; strings.HasPrefix(event, corev1.EventTypeWarning) {
			return event
		}
	}
}

func (r *rig) want(wantMessage string, wantEvicted ...string) {
	r.Helper()
	message, evicted := r.try()
	if message != wantMessage {
		r.Errorf("message %q, want %q", message, wantMessage)
	}
	if diff := cmp.Diff(wantEvicted, evicted); diff != "" {
		r.Errorf("evicted (-want, +got):\n%s", diff)
	}
}

func sized(p *corev1.Pod, cpu string) *corev1.Pod { return (&schedtest.Pod{Pod: p}).CPU(cpu).Obj() }

// Room that was made and taken is reported, evictions wait, and the pod is woken when the wait is over.
func TestRefilledRoom(t *testing.T) {
	r := newRig(t, schedtest.MakePod("p").CPU("2").Obj())
	a, b, c := sized(low("a"), "1"), sized(low("b"), "1"), sized(low("c"), "1")
	before := testutil.ToFloat64(refillsTotal)

	r.put(a)
	r.want(MessageEvicting, "a")
	r.want(MessageEvicting) // the API server no longer has the pod, the node still shows it, and there is no other new pod
	r.gone(a)
	r.put(b)
	const once = "the room that preemption made was taken by other pods once, last by ns/b, scheduled by default-scheduler"
	r.want(once)
	r.want(once)
	if got, want := r.warning(), "Warning PreemptionRefilled node n1: "+once+"; no pods are evicted for the next 5s."; !strings.HasPrefix(got, want) {
		t.Errorf("event %q, want %q…", got, want)
	}
	if got := testutil.ToFloat64(refillsTotal); got != before+1 {
		t.Errorf("%v refills were counted, want 1", got-before)
	}

	if len(r.activated) > 0 {
		t.Error("the pod is woken before the wait is over")
	}
	r.clock.Step(5 * time.Second)
	if got := <-r.activated; got != "ns/p" {
		t.Errorf("%s is woken, want ns/p", got)
	}
	r.want(MessageEvicting, "b")
	r.gone(b)
	r.put(c)
	r.want("the room that preemption made was taken by other pods 2 times, last by ns/c, scheduled by default-scheduler")
	r.warning()
	r.plugin.PostBind(t.Context(), nil, r.pod, "n1")
	if len(r.plugin.refills.rooms) != 0 {
		t.Errorf("%d records exist after the pod was bound, want none", len(r.plugin.refills.rooms))
	}
}

// A pod that must not preempt gets no message about refilled room.
func TestRefilledRoomOfOneThatNeverPreempts(t *testing.T) {
	r := newRig(t, schedtest.MakePod("p").CPU("2").Obj())
	a, b := sized(low("a"), "1"), sized(low("b"), "1")
	r.put(a)
	r.want(MessageEvicting, "a")
	r.gone(a)
	r.put(b)
	r.pod = schedtest.MakePod("p").CPU("2").Never().Obj() // the controller recreated it from another template
	err := r.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), r.pod, "ns")
	if err != nil {
		t.Fatal(err)
	}
	for seen := new(corev1.Pod); !never(seen); { // upstream asks the informer
		if seen, err = r.plugin.pods.Pods("ns").Get("p"); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	if message, evicted := r.try(); strings.Contains(message, "taken") || evicted != nil {
		t.Errorf("message %q, evicted %v", message, evicted)
	}
}

// Within a priority, pods that can run elsewhere are preempted first (k/k#141227).
func TestMovablePodsArePreemptedFirst(t *testing.T) {
	pinned := sized(schedtest.Twin("pinned").Owner(schedtest.OwnerRef(schedtest.Native, "uid-other")).Priority(1).Obj(), "1")
	movable := sized((&schedtest.Pod{Pod: low("movable")}).Affinity(nil).Obj(), "1")
	r := newRig(t, schedtest.MakePod("p").CPU("1").Obj())
	r.put(pinned, movable)
	r.want(MessageEvicting, "movable")
}

func TestNewRefusesArgs(t *testing.T) {
	r := newRig(t, schedtest.MakePod("p").Obj())
	for args, want := range map[string]string{
		"{refillBackoffMax: 1s}": "plugin EverynodePreemption: refillBackoffMax is 1s",
		"{refillBackof: 1s}":     `unknown field "refillBackof"`,
	} {
		if _, err := New(t.Context(), unknown(args), r.framework); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New with %s: %v, want %s", args, err, want)
		}
	}
	if plugin, err := New(t.Context(), nil, r.framework); err != nil || plugin.Name() != Name {
		t.Errorf("New = %v, %v; want the plugin %s", plugin, err, Name)
	}
}
