package podevents

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/kubernetes/pkg/scheduler"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

// A handler gets an update between two pods as a deletion and an addition, and everything else unchanged.
func TestSplit(t *testing.T) {
	pod := func(uid string) *corev1.Pod { return st.MakePod().Namespace("ns").Name("p").UID(uid).Obj() }
	tests := map[string]struct {
		old, new any
		want     []string
	}{
		"one pod":     {pod("a"), pod("a"), []string{"update a to a"}},
		"another pod": {pod("a"), pod("b"), []string{"delete a", "add b"}},
		"not pods":    {st.MakeNode().UID("a").Obj(), st.MakeNode().UID("b").Obj(), []string{"update a to b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			uid := func(object any) string { return string(object.(metav1.Object).GetUID()) }
			splitting{cache.ResourceEventHandlerFuncs{
				AddFunc:    func(object any) { got = append(got, "add "+uid(object)) },
				UpdateFunc: func(before, after any) { got = append(got, "update "+uid(before)+" to "+uid(after)) },
				DeleteFunc: func(object any) { got = append(got, "delete "+uid(object)) },
			}}.OnUpdate(test.old, test.new)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("events (-want, +got):\n%s", diff)
			}
		})
	}
}

// Every path from a factory to its pod informer, and to a handler of it, splits updates; other informers are unchanged.
func TestEveryPathToThePodInformer(t *testing.T) {
	client := fake.NewClientset()
	shared := Split(informers.NewSharedInformerFactory(client, 0))
	generic, err := shared.ForResource(corev1.SchemeGroupVersion.WithResource("pods"))
	if err != nil {
		t.Fatal(err)
	}
	pods, nodes := shared.Core().V1().Pods(), shared.Core().V1().Nodes().Informer()
	var events sync.Map // the paths that saw a deletion, and an update
	seen := func(way string) cache.ResourceEventHandlerFuncs {
		return cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(any, any) { events.Store(way+": update", true) },
			DeleteFunc: func(any) { events.Store(way+": delete", true) },
		}
	}
	typed := corev1informers.PodHandlerFuncs{DeleteFunc: func(corev1informers.DeletedPod) { events.Store("typed: delete", true) }}
	type registration = cache.ResourceEventHandlerRegistration
	for way, add := range map[string]func() (registration, error){
		"core": func() (registration, error) { return pods.Informer().AddEventHandler(seen("core")) },
		"resync": func() (registration, error) {
			return pods.Informer().AddEventHandlerWithResyncPeriod(seen("resync"), 0)
		},
		"typed": func() (registration, error) { return pods.TypedInformer().AddTypedEventHandler(typed) },
		"informer for": func() (registration, error) {
			return shared.InformerFor(&corev1.Pod{}, nil).AddEventHandler(seen("informer for"))
		},
		"resource": func() (registration, error) { return generic.Informer().AddEventHandler(seen("resource")) },
		"nodes":    func() (registration, error) { return nodes.AddEventHandler(seen("nodes")) },
	} {
		if _, err := add(); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); shared.Shutdown() })
	shared.Start(ctx.Done())
	shared.WaitForCacheSync(ctx.Done())
	eventually(t, "both watches have begun", func() bool {
		watches := 0
		for _, action := range client.Actions() {
			if action.GetVerb() == "watch" {
				watches++
			}
		}
		return watches == 2
	})
	api := client.CoreV1()
	pod, node := func(uid string) *corev1.Pod { return st.MakePod().Namespace("ns").Name("p").UID(uid).Obj() }, func(uid string) *corev1.Node { return st.MakeNode().Name("n").UID(uid).Obj() }
	_, errPod := api.Pods("ns").Create(ctx, pod("a"), metav1.CreateOptions{})
	_, errNode := api.Nodes().Create(ctx, node("a"), metav1.CreateOptions{})
	_, errOther := api.Pods("ns").Update(ctx, pod("b"), metav1.UpdateOptions{}) // the watch reports it as an update
	_, errOtherNode := api.Nodes().Update(ctx, node("b"), metav1.UpdateOptions{})
	if err := errors.Join(errPod, errNode, errOther, errOtherNode); err != nil {
		t.Fatal(err)
	}
	want := []string{"core: delete", "informer for: delete", "nodes: update", "resource: delete", "resync: delete", "typed: delete"}
	eventually(t, "all handlers were called", func() bool {
		got := []string{}
		events.Range(func(event, _ any) bool { got = append(got, event.(string)); return true })
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// While a watch is interrupted, a bound pod is deleted and another one of its name is created. Kubernetes' scheduler
// exits; with a split factory it queues the new pod, and frees the room of the old one.
func TestSchedulerSurvivesASuccessorOfTheSameName(t *testing.T) {
	tests := map[string]struct {
		split     func(informers.SharedInformerFactory) informers.SharedInformerFactory
		wantExits bool
	}{
		"Kubernetes' own factory": {func(f informers.SharedInformerFactory) informers.SharedInformerFactory { return f }, true},
		"split":                   {Split, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			exits := exitsOfKlog(t)
			gap := newGap(st.MakePod().Namespace("ns").Name("p").UID("old").Node("n1").Obj())
			sched := gap.start(t, test.split)
			eventually(t, "the old pod is in the cache", func() bool { count, _ := sched.Cache.PodCount(); return count == 1 })

			gap.interrupt(st.MakePod().Namespace("ns").Name("p").UID("new").SchedulerName(corev1.DefaultSchedulerName).Obj())
			eventually(t, "the successor was seen", func() bool {
				return exits.Load() || slices.ContainsFunc(sched.SchedulingQueue.PodsInActiveQ(), func(pod *corev1.Pod) bool { return pod.UID == "new" })
			})
			if exits.Load() != test.wantExits {
				t.Fatalf("the scheduler exits: %v, want %v", exits.Load(), test.wantExits)
			}
			if count, _ := sched.Cache.PodCount(); !test.wantExits && count != 0 {
				t.Errorf("%d pods are in the cache, want none: the old one is gone", count)
			}
		})
	}
}

// exitsOfKlog records the exits of klog instead of ending the process.
func exitsOfKlog(t *testing.T) *atomic.Bool {
	t.Helper()
	exit, exits := klog.OsExit, &atomic.Bool{}
	t.Cleanup(func() { klog.OsExit = exit })
	klog.OsExit = func(int) {
		exits.Store(true)
		runtime.Goexit()
	}
	return exits
}

// gap is an API server with one pod, whose watch is interrupted.
type gap struct {
	client  *fake.Clientset
	pods    atomic.Pointer[corev1.PodList]
	watches chan *watch.FakeWatcher
}

func newGap(pod *corev1.Pod) *gap {
	g := &gap{client: fake.NewClientset(), watches: make(chan *watch.FakeWatcher, 10)}
	g.pods.Store(listOf("1", pod))
	g.client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, apiruntime.Object, error) {
		return true, g.pods.Load().DeepCopy(), nil
	})
	g.client.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
		watching := watch.NewFake()
		g.watches <- watching
		return true, watching, nil
	})
	return g
}

func listOf(version string, pod *corev1.Pod) *corev1.PodList {
	pod.ResourceVersion = version
	return &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: version}, Items: []corev1.Pod{*pod}}
}

// interrupt makes the watch miss events: its resource version is too old to resume.
func (g *gap) interrupt(pod *corev1.Pod) {
	g.pods.Store(listOf("2", pod))
	expired := apierrors.NewResourceExpired("too old resource version").Status()
	(<-g.watches).Error(&expired)
}

func (g *gap) start(t *testing.T, split func(informers.SharedInformerFactory) informers.SharedInformerFactory) *scheduler.Scheduler {
	t.Helper()
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), ktesting.NewLogger(t, ktesting.NewConfig(ktesting.Verbosity(0)))))
	shared := split(scheduler.NewInformerFactory(g.client, 0, nil))
	t.Cleanup(func() { cancel(); shared.Shutdown() })
	sched, err := scheduler.New(ctx, g.client, shared, nil, func(string) events.EventRecorderLogger { return events.NewFakeRecorder(10) })
	if err != nil {
		t.Fatal(err)
	}
	shared.Start(ctx.Done())
	shared.WaitForCacheSync(ctx.Done())
	return sched
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting: %s", what)
		}
	}
}
