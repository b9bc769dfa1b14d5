package uniqueness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/deploy"
)

// shipped is the scheduler's configuration as deploy/manifests/scheduler.yaml ships it.
func shipped(t *testing.T) string {
	t.Helper()
	manifest, err := deploy.Manifests.ReadFile("manifests/scheduler.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		var object corev1.ConfigMap
		switch err := decoder.Decode(&object); {
		case errors.Is(err, io.EOF):
			t.Fatal("no ConfigMap everynode-scheduler-config in manifests/scheduler.yaml")
		case err != nil:
			t.Fatal(err)
		}
		if object.Kind == "ConfigMap" && object.Name == "everynode-scheduler-config" {
			return object.Data["config.yaml"]
		}
	}
}

// quiet is a context whose logger keeps to what matters: the scheduler logs much at V(5).
func quiet(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return klog.NewContext(ctx, ktesting.NewLogger(t, ktesting.NewConfig(ktesting.Verbosity(0))))
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

// newScheduler makes kube-scheduler with our registry, as cmd/everynode-scheduler does; nothing
// of it runs. Its frameworks see the pods and nodes given.
func newScheduler(ctx context.Context, loaded *config.KubeSchedulerConfiguration, pods []*corev1.Pod, nodes []*corev1.Node) (*scheduler.Scheduler, *fake.Clientset, error) {
	client := fake.NewClientset()
	for _, p := range pods {
		if err := client.Tracker().Add(p); err != nil {
			return nil, nil, err
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	sched, err := scheduler.New(ctx, client, factory, nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(100) },
		scheduler.WithProfiles(loaded.Profiles...),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{Name: New}),
		scheduler.WithNodeInfoSnapshot(internalcache.NewSnapshot(bound(pods), nodes)))
	if err != nil {
		return nil, nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return sched, client, nil
}

func bound(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.Spec.NodeName == "" })
}

func TestShippedProfile(t *testing.T) {
	ctx := quiet(t)
	loaded := load(t, shipped(t))
	sched, _, err := newScheduler(ctx, loaded, nil, nil)
	if err != nil {
		t.Fatalf("building the scheduler: %v", err)
	}
	if len(sched.Profiles) != 1 || sched.Profiles[v1alpha1.SchedulerName] == nil {
		t.Fatalf("profiles %v, want %s alone: a secondary scheduler leaves other pods to default-scheduler", sched.Profiles, v1alpha1.SchedulerName)
	}
	plugins := sched.Profiles[v1alpha1.SchedulerName].ListPlugins()
	enabled := func(set config.PluginSet) (enabled []string) {
		for _, plugin := range set.Enabled {
			enabled = append(enabled, plugin.Name)
		}
		return enabled
	}

	if preFilter := enabled(plugins.PreFilter); !slices.Contains(preFilter, Name) {
		t.Errorf("PreFilter is %v, want %s in it", preFilter, Name)
	}
	// First, so that a pod that waits for its twin is told so, whatever else keeps it away.
	if filter := enabled(plugins.Filter); len(filter) == 0 || filter[0] != Name {
		t.Errorf("Filter is %v, want %s first", filter, Name)
	}
	// With upstream's reason: it is better to free an idle claim than to evict a pod.
	if diff := cmp.Diff([]string{names.DynamicResources, names.DefaultPreemption}, enabled(plugins.PostFilter)); diff != "" {
		t.Errorf("PostFilter (-want, +got):\n%s", diff)
	}
	if preScore, score := enabled(plugins.PreScore), enabled(plugins.Score); preScore != nil || score != nil {
		t.Errorf("PreScore %v and Score %v, want neither: there is one node", preScore, score)
	}

	// Against the default profile the manifest drops NodeName (served pods have none) and topology
	// spread; a filter that a later Kubernetes adds must be decided on here.
	byDefault, _, err := newScheduler(ctx, load(t, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defaults := byDefault.Profiles[corev1.DefaultSchedulerName].ListPlugins()
	wantDropped := []string{names.NodeName, names.PodTopologySpread}
	for point, test := range map[string]struct {
		byDefault, shipped config.PluginSet
		want               []string
	}{
		"PreEnqueue": {defaults.PreEnqueue, plugins.PreEnqueue, nil},
		"PreFilter":  {defaults.PreFilter, plugins.PreFilter, wantDropped},
		"Filter":     {defaults.Filter, plugins.Filter, wantDropped},
		"PostFilter": {defaults.PostFilter, plugins.PostFilter, nil},
		"Reserve":    {defaults.Reserve, plugins.Reserve, nil},
		"Permit":     {defaults.Permit, plugins.Permit, nil},
		"PreBind":    {defaults.PreBind, plugins.PreBind, nil},
		"Bind":       {defaults.Bind, plugins.Bind, nil},
		"PostBind":   {defaults.PostBind, plugins.PostBind, nil},
	} {
		kept := enabled(test.shipped)
		var dropped []string
		for _, name := range enabled(test.byDefault) {
			if !slices.Contains(kept, name) {
				dropped = append(dropped, name)
			}
		}
		slices.Sort(dropped)
		if diff := cmp.Diff(test.want, dropped); diff != "" {
			t.Errorf("%s plugins of the default profile that are dropped (-want, +got):\n%s", point, diff)
		}
	}
}

// What holds the manifest to the registry: a name that is misspelt does not pass unseen.
func TestMisspeltProfileIsRefused(t *testing.T) {
	for _, name := range []string{Name, names.DefaultPreemption, names.NodeVolumeLimits} {
		t.Run(name, func(t *testing.T) {
			ctx := quiet(t)
			misspelt := strings.Replace(shipped(t), "{name: "+name+"}", "{name: "+name+"s}", 1)
			if _, _, err := newScheduler(ctx, load(t, misspelt), nil, nil); err == nil || !strings.Contains(err.Error(), name+"s") {
				t.Errorf("building the scheduler: %v, want an error that names %ss", err, name)
			}
		})
	}
	if _, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(strings.Replace(shipped(t), "multiPoint:", "multipoint:", 1)), nil, nil); err == nil {
		t.Error("an unknown field is decoded, want it refused")
	}
}

// What wakes a pod that waits, in the real queue with the shipped profile's hints: what happens
// to its place and no more.
func TestWaitingPodWakes(t *testing.T) {
	deleted := func(p *podWrapper) func(queue.SchedulingQueue) {
		return func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, framework.EventAssignedPodDelete, p.obj(), nil, nil)
		}
	}
	nodeAdded := func(name string) func(queue.SchedulingQueue) {
		return func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}, nil, st.MakeNode().Name(name).Obj(), nil)
		}
	}
	tests := map[string]struct {
		happens func(queue.SchedulingQueue)
		want    bool // the pod is to be tried again
	}{
		"its twin is deleted":                 {happens: deleted(twin("t")), want: true},
		"its nominated twin is deleted":       {happens: deleted(pod("t")), want: true},
		"the daemon's pod of another node is": {happens: deleted(twin("t").on("n2"))},
		"another daemon's pod of the node is": {happens: deleted(twin("t").owner(ownerRef(ours, "uid-e")))},
		"its twin is released": {happens: func(q queue.SchedulingQueue) {
			before, after := twin("t").obj(), twin("t").owner().obj()
			for _, event := range framework.PodSchedulingPropertiesChange(after, before, false) {
				q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, event, before, after, nil)
			}
		}, want: true},
		"a twin comes": {happens: func(q queue.SchedulingQueue) {
			q.MoveAllToActiveOrBackoffQueue(klog.Logger{}, framework.EventAssignedPodAdd, nil, twin("t").obj(), nil)
		}},
		// A pod may be made before the scheduler sees its node. NodeAffinity's hint sees to that.
		"its node comes":     {happens: nodeAdded("n1"), want: true},
		"another node comes": {happens: nodeAdded("n2")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := quiet(t)
			sched, _, err := newScheduler(ctx, load(t, shipped(t)), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			waiting, q := pod("p").obj(), sched.SchedulingQueue
			waiting.Spec.SchedulerName = v1alpha1.SchedulerName
			q.Add(ctx, waiting)
			entity, err := q.Pop(klog.FromContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			refused, ok := entity.(*framework.QueuedPodInfo)
			if !ok {
				t.Fatalf("the queue gives a %T", entity)
			}
			// The plugins that named nodes in PreFilter count as those that refused the pod.
			refused.UnschedulablePlugins = sets.New(Name, names.NodeAffinity)
			if err := q.AddUnschedulablePodIfNotPresent(klog.FromContext(ctx), refused, q.SchedulingCycle()); err != nil {
				t.Fatal(err)
			}
			q.Done(waiting.UID)
			if sleeping := len(q.UnschedulablePods()); sleeping != 1 {
				t.Fatalf("%d pods wait, want 1", sleeping)
			}
			test.happens(q)
			if got := len(q.UnschedulablePods()) == 0; got != test.want {
				t.Errorf("the pod is to be tried again: %v, want %v", got, test.want)
			}
		})
	}
}

// Preemption with the shipped profile: a twin of lower priority is the victim, one of equal
// priority never, and no more pods than needed (S6).
func TestPreemption(t *testing.T) {
	other := func(name string) *podWrapper { return twin(name).owner(ownerRef(ours, "uid-e")) }
	const (
		fits        = "fits"
		nominated   = "nominated"
		notPossible = "not possible"
	)
	tests := map[string]struct {
		pod         *podWrapper // pod("p") when nil
		pods        []*podWrapper
		nominated   []*podWrapper // other pods that wait for n1 with a nomination
		want        string
		wantVictims []string
	}{
		"nobody there":                      {want: fits},
		"a twin of lower priority":          {pods: []*podWrapper{twin("t").priority(99)}, want: nominated, wantVictims: []string{"t"}},
		"a twin of equal priority":          {pods: []*podWrapper{twin("t")}, want: notPossible},
		"a twin of higher priority":         {pods: []*podWrapper{twin("t").priority(101)}, want: notPossible},
		"a lower twin that terminates":      {pods: []*podWrapper{twin("t").priority(99).terminating()}, want: nominated}, // and nobody has to go
		"two lower twins":                   {pods: []*podWrapper{twin("t").priority(99), twin("u").priority(98)}, want: nominated, wantVictims: []string{"t", "u"}},
		"one lower twin, one equal":         {pods: []*podWrapper{twin("t").priority(99), twin("u")}, want: notPossible},
		"a lower twin, but never preempts":  {pod: pod("p").never(), pods: []*podWrapper{twin("t").priority(99)}, want: notPossible},
		"a lower twin of another node":      {pods: []*podWrapper{twin("t").on("n2").priority(99)}, want: fits},
		"strangers of lower priority":       {pods: []*podWrapper{other("s").priority(1)}, want: fits},
		"a lower twin beside a stranger":    {pods: []*podWrapper{other("s").priority(1).cpu("1"), twin("t").priority(99).cpu("1")}, want: nominated, wantVictims: []string{"t"}},
		"an equal twin beside a stranger":   {pods: []*podWrapper{other("s").priority(1).cpu("1"), twin("t").cpu("1")}, want: notPossible},
		"a lower twin whose room will do":   {pod: pod("p").cpu("1"), pods: []*podWrapper{other("s").priority(1).cpu("1"), twin("t").priority(99).cpu("1")}, want: nominated, wantVictims: []string{"t"}},
		"a lower twin whose room is little": {pod: pod("p").cpu("2"), pods: []*podWrapper{other("s").priority(1).cpu("1"), twin("t").priority(99).cpu("1")}, want: nominated, wantVictims: []string{"s", "t"}},
		"no room, a stranger makes it":      {pod: pod("p").cpu("2"), pods: []*podWrapper{other("s").priority(1).cpu("1")}, want: nominated, wantVictims: []string{"s"}},
		"no room, an equal stranger":        {pod: pod("p").cpu("2"), pods: []*podWrapper{other("s").cpu("1")}, want: notPossible},

		// A nominated twin counts as if it were bound, so two pods of a place never both evict.
		"an equal twin was nominated":             {nominated: []*podWrapper{pod("t")}, want: notPossible},
		"a lower twin was nominated":              {nominated: []*podWrapper{pod("t").priority(99)}, want: fits},
		"an equal one nominated over a lower one": {pods: []*podWrapper{twin("t").priority(99)}, nominated: []*podWrapper{pod("u")}, want: notPossible},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := quiet(t)
			preemptor := test.pod
			if preemptor == nil {
				preemptor = pod("p")
			}
			pods := []*corev1.Pod{preemptor.obj()}
			for _, p := range append(test.pods, test.nominated...) {
				pods = append(pods, p.obj())
			}
			capacity := map[corev1.ResourceName]string{corev1.ResourceCPU: "2", corev1.ResourcePods: "10"}
			nodes := []*corev1.Node{st.MakeNode().Name("n1").Capacity(capacity).Obj(), st.MakeNode().Name("n2").Capacity(capacity).Obj()}
			loaded := load(t, shipped(t))
			sched, client, err := newScheduler(ctx, loaded, pods, nodes)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range test.nominated {
				p.Status.NominatedNodeName = "n1"
				sched.SchedulingQueue.Add(ctx, p.obj())
			}

			got, gotVictims := tryToPlace(t, ctx, sched, loaded, client, preemptor.obj())
			want := map[string]*fwk.PostFilterResult{
				nominated:   framework.NewPostFilterResultWithNominatedNode("n1"),
				notPossible: framework.NewPostFilterResultWithNominatedNode(""),
			}[test.want]
			if preemptor.Spec.PreemptionPolicy != nil {
				want = nil // an earlier nomination, of which there is none, would stay
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("nomination (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantVictims, gotVictims); diff != "" {
				t.Errorf("victims (-want, +got):\n%s", diff)
			}
		})
	}
}

// tryToPlace is a scheduling cycle up to preemption: the nomination, nil when the pod fits
// somewhere, and the names of the pods that were evicted for it.
func tryToPlace(t *testing.T, ctx context.Context, sched *scheduler.Scheduler, loaded *config.KubeSchedulerConfiguration, client *fake.Clientset, p *corev1.Pod) (*fwk.PostFilterResult, []string) {
	t.Helper()
	profile, state := sched.Profiles[v1alpha1.SchedulerName], framework.NewCycleState()
	result, status, _ := profile.RunPreFilterPlugins(ctx, state, p)
	if !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	statuses := framework.NewNodeToStatus(map[string]*fwk.Status{}, fwk.NewStatus(fwk.UnschedulableAndUnresolvable))
	for node := range result.NodeNames {
		info, err := profile.SnapshotSharedLister().NodeInfos().Get(node)
		if err != nil {
			t.Fatal(err)
		}
		status := profile.RunFilterPluginsWithNominatedPods(ctx, state, p, info)
		if status.IsSuccess() {
			return nil, nil
		}
		statuses.Set(node, status)
	}

	// The profile's own preemption evicts in the background; this one does it at once.
	preemption, err := defaultpreemption.New(ctx, argsOf(loaded, names.DefaultPreemption), profile, feature.Features{})
	if err != nil {
		t.Fatal(err)
	}
	nomination, status := preemption.PostFilter(ctx, state, p, statuses)
	if !status.IsSuccess() && !status.IsRejected() {
		t.Fatalf("PostFilter: %v", status)
	}
	var victims []string
	for _, action := range client.Actions() {
		if deletion, ok := action.(clienttesting.DeleteAction); ok {
			victims = append(victims, deletion.GetName())
		}
	}
	slices.Sort(victims)
	return nomination, victims
}

func argsOf(loaded *config.KubeSchedulerConfiguration, plugin string) *config.DefaultPreemptionArgs {
	for _, entry := range loaded.Profiles[0].PluginConfig {
		if args, ok := entry.Args.(*config.DefaultPreemptionArgs); ok && entry.Name == plugin {
			return args
		}
	}
	return nil
}
