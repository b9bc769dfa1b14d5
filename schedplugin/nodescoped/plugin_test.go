package nodescoped

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeports"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/internal/schedtest"
)

// pinned returns a waiting pod that is pinned to nodes.
func pinned(nodes ...string) *st.PodWrapper {
	return st.MakePod().Namespace("ns").Name("p").UID("uid-p").NodeAffinity(&corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: nodes}},
		}}},
	})
}

// cluster is a handle of plugins.
type cluster struct {
	fwk.Handle
	factory informers.SharedInformerFactory
}

// newCluster returns a handle whose informers' stores contain the objects; the informers do not run.
func newCluster(tb testing.TB, claims []*corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume, limits []*storagev1.CSINode) *cluster {
	tb.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	handle, err := frameworkruntime.NewFramework(schedtest.Quiet(tb), nil, nil,
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(factory.Storage().V1().CSINodes().Lister())))
	if err != nil {
		tb.Fatal(err)
	}
	for _, claim := range claims {
		schedtest.Must(tb, factory.Core().V1().PersistentVolumeClaims().Informer().GetStore().Add(claim))
	}
	for _, volume := range volumes {
		schedtest.Must(tb, factory.Core().V1().PersistentVolumes().Informer().GetStore().Add(volume))
	}
	for _, limit := range limits {
		schedtest.Must(tb, factory.Storage().V1().CSINodes().Informer().GetStore().Add(limit))
	}
	return &cluster{Handle: handle, factory: factory}
}

// ours returns a plugin of the registry.
func (c *cluster) ours(tb testing.TB, name string, args runtime.Object) inTree {
	tb.Helper()
	return made(tb, Registry()[name], args, c)
}

// upstreams returns the in-tree plugin of the same name without the prefix.
func (c *cluster) upstreams(tb testing.TB, name string, args *FitArgs) inTree {
	tb.Helper()
	var typed runtime.Object
	switch name {
	case NodeResourcesFit:
		typed = args.inTree()
	case NodeAffinity:
		typed = &config.NodeAffinityArgs{}
	}
	return made(tb, plugins.NewInTreeRegistry()[strings.TrimPrefix(name, prefix)], typed, c)
}

func made(tb testing.TB, factory frameworkruntime.PluginFactory, args runtime.Object, handle fwk.Handle) inTree {
	tb.Helper()
	plugin, err := factory(schedtest.Quiet(tb), args, handle)
	if err != nil {
		tb.Fatal(err)
	}
	return plugin.(inTree)
}

// nodeInfo returns a node with pods.
func nodeInfo(node *corev1.Node, pods ...*corev1.Pod) *framework.NodeInfo {
	info := framework.NewNodeInfo(pods...)
	info.SetNode(node)
	return info
}

// verdict runs a plugin on a pod and one node, as the framework does.
func verdict(ctx context.Context, plugin inTree, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	state := framework.NewCycleState()
	if _, status := plugin.PreFilter(ctx, state, pod, []fwk.NodeInfo{node}); !status.IsSuccess() {
		if status.IsSkip() {
			return nil
		}
		return status
	}
	return plugin.Filter(ctx, state, pod, node)
}

// reasons returns the reasons of a status, none if it is nil.
func reasons(status *fwk.Status) []string {
	if status == nil {
		return nil
	}
	return status.Reasons()
}

// A plugin implements only the extension points that it needs.
func TestExtensionPoints(t *testing.T) {
	c := newCluster(t, nil, nil, nil)
	for name := range Registry() {
		t.Run(name, func(t *testing.T) {
			plugin := c.ours(t, name, nil)
			if plugin.Name() != name {
				t.Errorf("Name = %s, want %s", plugin.Name(), name)
			}
			if plugin.PreFilterExtensions() != nil {
				t.Error("PreFilterExtensions, want none, as in upstream")
			}
			for point, offered := range map[string]bool{
				"PreEnqueue": is[fwk.PreEnqueuePlugin](plugin), "PostFilter": is[fwk.PostFilterPlugin](plugin),
				"PreScore": is[fwk.PreScorePlugin](plugin), "Score": is[fwk.ScorePlugin](plugin), "Sign": is[fwk.SignPlugin](plugin),
				"PlacementScore": is[fwk.PlacementScorePlugin](plugin),
				"Reserve":        is[fwk.ReservePlugin](plugin), "PreBind": is[fwk.PreBindPlugin](plugin), "Bind": is[fwk.BindPlugin](plugin),
			} {
				if offered {
					t.Errorf("%s is implemented", point)
				}
			}
		})
	}
}

func is[T any](plugin fwk.Plugin) bool {
	_, ok := plugin.(T)
	return ok
}

// All of upstream's events are registered. The test fails if a later Kubernetes registers
// events of all pods, whose hints cannot be scoped.
func TestEventsAreUpstreams(t *testing.T) {
	c := newCluster(t, nil, nil, nil)
	for name := range Registry() {
		t.Run(name, func(t *testing.T) {
			ours, err := c.ours(t, name, nil).EventsToRegister(t.Context())
			schedtest.Must(t, err)
			upstreams, err := c.upstreams(t, name, &FitArgs{}).EventsToRegister(t.Context())
			schedtest.Must(t, err)
			if diff := cmp.Diff(events(upstreams), events(ours)); diff != "" {
				t.Errorf("events (-upstream, +ours):\n%s", diff)
			}
			for _, event := range ours {
				if event.Event.Resource == fwk.Pod || event.Event.Resource == fwk.WildCard {
					t.Errorf("an event of %s cannot be scoped", event.Event.Resource)
				}
			}
		})
	}
}

func events(registered []fwk.ClusterEventWithHint) (events []fwk.ClusterEvent) {
	for _, event := range registered {
		events = append(events, event.Event)
	}
	return events
}

// room returns a pod of a node with everything that any of the plugins may wait for.
func room(node string) *st.PodWrapper {
	return st.MakePod().Namespace("ns").Name("q").UID("uid-q").Node(node).HostPort(80).PVC("claim").Req(map[corev1.ResourceName]string{corev1.ResourceCPU: "1"})
}

func TestQueueingHints(t *testing.T) {
	waiting := pinned("n1").HostPort(80).PVC("claim").Req(map[corev1.ResourceName]string{corev1.ResourceCPU: "1"}).Obj()
	notPinned := pinned("n1", "n2").HostPort(80).PVC("claim").Req(map[corev1.ResourceName]string{corev1.ResourceCPU: "1"}).Obj()
	nominated := func(node string) *corev1.Pod { return room("").NominatedNodeName(node).Obj() }
	smaller := func(node string) *corev1.Pod {
		return st.MakePod().Namespace("ns").Name("q").UID("uid-q").Node(node).Req(map[corev1.ResourceName]string{corev1.ResourceCPU: "500m"}).Obj()
	}
	node := func(name, cpu string) *corev1.Node {
		return st.MakeNode().Name(name).Capacity(map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourcePods: "10"}).Obj()
	}
	tainted := func(name string) *corev1.Node {
		return st.MakeNode().Name(name).Taints([]corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}).Obj()
	}
	declares := func(name string) *corev1.Node {
		return st.MakeNode().Name(name).DeclaredFeatures([]string{"f"}).Obj()
	}
	csiNode := func(name string, limit int32) *storagev1.CSINode {
		return st.MakeCSINode().Name(name).Driver(storagev1.CSINodeDriver{Name: "d", Allocatable: &storagev1.VolumeNodeResources{Count: &limit}}).Obj()
	}
	attachment := func(node string) *storagev1.VolumeAttachment {
		return &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{NodeName: node}}
	}
	claim := func(name string) *corev1.PersistentVolumeClaim {
		return st.MakePersistentVolumeClaim().Namespace("ns").Name(name).Obj()
	}

	tests := map[string]struct {
		plugin   string
		pod      *corev1.Pod // defaults to waiting
		resource fwk.EventResource
		action   fwk.ActionType
		before   any
		after    any
		want     fwk.QueueingHint
		wantErr  bool
	}{
		"fit: a pod of the node is deleted":                               {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n1").Obj(), want: fwk.Queue},
		"fit: a pod of another node is deleted":                           {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n2").Obj(), want: fwk.QueueSkip},
		"fit: a pod nominated for the node is deleted":                    {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: nominated("n1"), want: fwk.Queue},
		"fit: a pod nominated for another node is deleted":                {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: nominated("n2"), want: fwk.QueueSkip},
		"fit: a pod nominated for the node, bound to another, is deleted": {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n2").NominatedNodeName("n1").Obj(), want: fwk.QueueSkip},
		"fit: a pod without a node is deleted":                            {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: room("").Obj(), want: fwk.QueueSkip},
		"fit: an object that is not a pod is deleted":                     {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.Delete, before: claim("claim"), want: fwk.Queue, wantErr: true},
		"fit: a pod of the node shrinks":                                  {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.UpdatePodScaleDown, before: room("n1").Obj(), after: smaller("n1"), want: fwk.Queue},
		"fit: a pod of another node shrinks":                              {plugin: NodeResourcesFit, resource: fwk.AssignedPod, action: fwk.UpdatePodScaleDown, before: room("n2").Obj(), after: smaller("n2"), want: fwk.QueueSkip},
		"fit: the pod shrinks":                                            {plugin: NodeResourcesFit, resource: fwk.TargetPod, action: fwk.UpdatePodScaleDown, before: waiting, after: waiting, want: fwk.Queue},
		"fit: the node is added":                                          {plugin: NodeResourcesFit, resource: fwk.Node, action: fwk.Add, after: node("n1", "1"), want: fwk.Queue},
		"fit: the node is added, too small":                               {plugin: NodeResourcesFit, resource: fwk.Node, action: fwk.Add, after: node("n1", "500m"), want: fwk.QueueSkip},
		"fit: another node is added":                                      {plugin: NodeResourcesFit, resource: fwk.Node, action: fwk.Add, after: node("n2", "1"), want: fwk.QueueSkip},
		"fit: the node grows":                                             {plugin: NodeResourcesFit, resource: fwk.Node, action: fwk.UpdateNodeAllocatable, before: node("n1", "500m"), after: node("n1", "1"), want: fwk.Queue},
		"fit: another node grows":                                         {plugin: NodeResourcesFit, resource: fwk.Node, action: fwk.UpdateNodeAllocatable, before: node("n2", "500m"), after: node("n2", "1"), want: fwk.QueueSkip},
		"fit: not pinned, a pod of any node":                              {plugin: NodeResourcesFit, pod: notPinned, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n3").Obj(), want: fwk.Queue},
		"fit: not pinned, any node is added":                              {plugin: NodeResourcesFit, pod: notPinned, resource: fwk.Node, action: fwk.Add, after: node("n3", "1"), want: fwk.Queue},
		"ports: a pod of the node is deleted":                             {plugin: NodePorts, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n1").Obj(), want: fwk.Queue},
		"ports: a pod with other ports is deleted":                        {plugin: NodePorts, resource: fwk.AssignedPod, action: fwk.Delete, before: st.MakePod().Node("n1").HostPort(81).Obj(), want: fwk.QueueSkip},
		"ports: a pod of another node is deleted":                         {plugin: NodePorts, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n2").Obj(), want: fwk.QueueSkip},
		"ports: a pod nominated for another node is deleted":              {plugin: NodePorts, resource: fwk.AssignedPod, action: fwk.Delete, before: nominated("n2"), want: fwk.QueueSkip},
		"ports: the node is added":                                        {plugin: NodePorts, resource: fwk.Node, action: fwk.Add, after: node("n1", "1"), want: fwk.Queue},
		"ports: another node is added":                                    {plugin: NodePorts, resource: fwk.Node, action: fwk.Add, after: node("n2", "1"), want: fwk.QueueSkip},
		"ports: not pinned, any node is added":                            {plugin: NodePorts, pod: notPinned, resource: fwk.Node, action: fwk.Add, after: node("n3", "1"), want: fwk.Queue},
		"volumes: a pod of the node is deleted":                           {plugin: NodeVolumeLimits, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n1").Obj(), want: fwk.Queue},
		"volumes: a pod of another node is deleted":                       {plugin: NodeVolumeLimits, resource: fwk.AssignedPod, action: fwk.Delete, before: room("n2").Obj(), want: fwk.QueueSkip},
		"volumes: the node's limits are added":                            {plugin: NodeVolumeLimits, resource: fwk.CSINode, action: fwk.Add, after: csiNode("n1", 1), want: fwk.Queue},
		"volumes: another node's limits are added":                        {plugin: NodeVolumeLimits, resource: fwk.CSINode, action: fwk.Add, after: csiNode("n2", 1), want: fwk.QueueSkip},
		"volumes: the node's limits grow":                                 {plugin: NodeVolumeLimits, resource: fwk.CSINode, action: fwk.Update, before: csiNode("n1", 1), after: csiNode("n1", 2), want: fwk.Queue},
		"volumes: the node's limits shrink":                               {plugin: NodeVolumeLimits, resource: fwk.CSINode, action: fwk.Update, before: csiNode("n1", 2), after: csiNode("n1", 1), want: fwk.QueueSkip},
		"volumes: another node's limits grow":                             {plugin: NodeVolumeLimits, resource: fwk.CSINode, action: fwk.Update, before: csiNode("n2", 1), after: csiNode("n2", 2), want: fwk.QueueSkip},
		"volumes: a volume is detached from the node":                     {plugin: NodeVolumeLimits, resource: fwk.VolumeAttachment, action: fwk.Delete, before: attachment("n1"), want: fwk.Queue},
		"volumes: a volume is detached from another node":                 {plugin: NodeVolumeLimits, resource: fwk.VolumeAttachment, action: fwk.Delete, before: attachment("n2"), want: fwk.QueueSkip},
		"volumes: the claim is added":                                     {plugin: NodeVolumeLimits, resource: fwk.PersistentVolumeClaim, action: fwk.Add, after: claim("claim"), want: fwk.Queue},
		"volumes: another claim is added":                                 {plugin: NodeVolumeLimits, resource: fwk.PersistentVolumeClaim, action: fwk.Add, after: claim("other"), want: fwk.QueueSkip},
		"unschedulable: the node is uncordoned":                           {plugin: NodeUnschedulable, resource: fwk.Node, action: fwk.UpdateNodeTaint, before: st.MakeNode().Name("n1").Unschedulable(true).Obj(), after: node("n1", "1"), want: fwk.Queue},
		"unschedulable: another node is uncordoned":                       {plugin: NodeUnschedulable, resource: fwk.Node, action: fwk.UpdateNodeTaint, before: st.MakeNode().Name("n2").Unschedulable(true).Obj(), after: node("n2", "1"), want: fwk.QueueSkip},
		"unschedulable: the pod tolerates it":                             {plugin: NodeUnschedulable, resource: fwk.TargetPod, action: fwk.UpdatePodToleration, before: waiting, after: pinned("n1").Toleration(corev1.TaintNodeUnschedulable).Obj(), want: fwk.Queue},
		"taints: the node's taint is removed":                             {plugin: TaintToleration, resource: fwk.Node, action: fwk.UpdateNodeTaint, before: tainted("n1"), after: node("n1", "1"), want: fwk.Queue},
		"taints: another node's taint is removed":                         {plugin: TaintToleration, resource: fwk.Node, action: fwk.UpdateNodeTaint, before: tainted("n2"), after: node("n2", "1"), want: fwk.QueueSkip},
		"taints: the pod tolerates it":                                    {plugin: TaintToleration, resource: fwk.TargetPod, action: fwk.UpdatePodToleration, before: waiting, after: pinned("n1").Toleration("k").Obj(), want: fwk.Queue},
		"features: the node declares a feature":                           {plugin: NodeDeclaredFeatures, resource: fwk.Node, action: fwk.UpdateNodeDeclaredFeature, before: node("n1", "1"), after: declares("n1"), want: fwk.Queue},
		"features: another node declares a feature":                       {plugin: NodeDeclaredFeatures, resource: fwk.Node, action: fwk.UpdateNodeDeclaredFeature, before: node("n2", "1"), after: declares("n2"), want: fwk.QueueSkip},
		"features: the pod's requirements do not change":                  {plugin: NodeDeclaredFeatures, resource: fwk.TargetPod, action: fwk.Update, before: waiting, after: waiting, want: fwk.QueueSkip},
	}
	c := newCluster(t, nil, nil, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hint := schedtest.HintOf(t, c.ours(t, test.plugin, nil), test.resource, test.action)
			pod := test.pod
			if pod == nil {
				pod = waiting
			}
			got, err := hint(klog.FromContext(schedtest.Quiet(t)), pod, test.before, test.after)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

func TestNewRefusesArgs(t *testing.T) {
	c := newCluster(t, nil, nil, nil)
	for name, factory := range Registry() {
		t.Run(name, func(t *testing.T) {
			args, want := &runtime.Unknown{Raw: []byte(`{"nodes": 1}`)}, "takes no arguments: remove its entry under pluginConfig"
			if name == NodeResourcesFit {
				want = `unknown field "nodes"`
			}
			if _, err := factory(schedtest.Quiet(t), args, c); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %s and %q", err, name, want)
			}
		})
	}
}

// Reasons that do not concern resources keep upstream's text.
func TestReasonsAreUpstreams(t *testing.T) {
	c := newCluster(t, nil, nil, nil)
	status := verdict(schedtest.Quiet(t), c.ours(t, NodePorts, nil), pinned("n1").HostPort(80).Obj(), nodeInfo(st.MakeNode().Name("n1").Obj(), room("n1").Obj()))
	if diff := cmp.Diff([]string{nodeports.ErrReason}, reasons(status)); diff != "" || status.Code() != fwk.Unschedulable {
		t.Errorf("%v, reasons (-want, +got):\n%s", status.Code(), diff)
	}
}

func BenchmarkHintOfAnotherNode(b *testing.B) {
	c := newCluster(b, nil, nil, nil)
	hint := schedtest.HintOf(b, c.ours(b, NodeResourcesFit, nil), fwk.AssignedPod, fwk.Delete)
	pod, gone, logger := pinned("n1").Obj(), room("n2").Obj(), klog.FromContext(schedtest.Quiet(b))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := hint(logger, pod, gone, nil); got != fwk.QueueSkip || err != nil {
			b.Fatal(got, err)
		}
	}
}
