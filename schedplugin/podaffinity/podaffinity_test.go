package podaffinity

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/internal/schedtest"
)

// The in-tree plugin counts its goroutines.
func init() { metrics.Register() }

const zone = corev1.LabelTopologyZone

// pod returns a pod of the app a.
func pod(name string) *st.PodWrapper {
	return st.MakePod().Namespace("ns").Name(name).UID("uid-"+name).Label("app", "a")
}

// pinned returns a waiting pod of the app a that is pinned to nodes.
func pinned(nodes ...string) *st.PodWrapper {
	return pod("p").NodeAffinity(&corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: nodes}},
		}}},
	})
}

// avoiding gives a pod required anti-affinity against an app.
func avoiding(p *st.PodWrapper, topology, app string) *st.PodWrapper {
	return withTerm(p, corev1.PodAffinityTerm{TopologyKey: topology, LabelSelector: ofApp(app)})
}

func ofApp(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func withTerm(p *st.PodWrapper, term corev1.PodAffinityTerm) *st.PodWrapper {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	if p.Spec.Affinity.PodAntiAffinity == nil {
		p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	terms := &p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*terms = append(*terms, term)
	return p
}

// inNamespaces gives a pod required anti-affinity against the app a in the namespaces of a team.
func inNamespaces(p *st.PodWrapper, team string) *st.PodWrapper {
	return withTerm(p, corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: ofApp("a"),
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}})
}

func node(name, inZone string) *corev1.Node {
	return st.MakeNode().Name(name).Label(corev1.LabelHostname, name).Label(zone, inZone).Obj()
}

func namespace(name, team string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
}

// cluster has the plugin, upstream's, and the state that both see.
type cluster struct {
	ours, upstreams inTree
	nodes           fwk.SharedLister
	factory         informers.SharedInformerFactory
}

// newCluster returns a cluster with pods and nodes in a snapshot, and pods and namespaces in the informers'
// stores; waiting pods are only in the stores.
func newCluster(tb testing.TB, nodes []*corev1.Node, pods []*corev1.Pod, namespaces ...*corev1.Namespace) *cluster {
	tb.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	var bound []*corev1.Pod
	for _, pod := range pods {
		schedtest.Must(tb, factory.Core().V1().Pods().Informer().GetStore().Add(pod))
		if pod.Spec.NodeName != "" {
			bound = append(bound, pod)
		}
	}
	for _, namespace := range namespaces {
		schedtest.Must(tb, factory.Core().V1().Namespaces().Informer().GetStore().Add(namespace))
	}
	snapshot := internalcache.NewSnapshot(bound, nodes)
	handle, err := frameworkruntime.NewFramework(schedtest.Quiet(tb), nil, nil,
		frameworkruntime.WithInformerFactory(factory), frameworkruntime.WithSnapshotSharedLister(snapshot))
	schedtest.Must(tb, err)
	made, err := New(schedtest.Quiet(tb), nil, handle)
	schedtest.Must(tb, err)
	ours := made.(*PodAffinity)
	return &cluster{ours: ours, upstreams: ours.inTree, nodes: snapshot, factory: factory}
}

// node returns a copy of a node, which a dry run may change.
func (c *cluster) node(tb testing.TB, name string) fwk.NodeInfo {
	tb.Helper()
	info, err := c.nodes.NodeInfos().Get(name)
	schedtest.Must(tb, err)
	return info.Snapshot()
}

// cycle is one attempt to place a pod with a plugin.
type cycle struct {
	ctx     context.Context
	plugin  inTree
	pod     *corev1.Pod
	state   fwk.CycleState
	skipped bool
	refused *fwk.Status
}

func (c *cluster) cycle(tb testing.TB, plugin inTree, pod *corev1.Pod) *cycle {
	tb.Helper()
	all, err := c.nodes.NodeInfos().List()
	schedtest.Must(tb, err)
	made := &cycle{ctx: schedtest.Quiet(tb), plugin: plugin, pod: pod, state: framework.NewCycleState()}
	_, status := plugin.PreFilter(made.ctx, made.state, pod, all)
	if made.skipped = status.IsSkip(); !made.skipped {
		made.refused = status
	}
	return made
}

// verdict filters a node as the framework does.
func (c *cycle) verdict(node fwk.NodeInfo) *fwk.Status {
	if c.skipped || !c.refused.IsSuccess() {
		return c.refused
	}
	return c.plugin.Filter(c.ctx, c.state, c.pod, node)
}

// remove removes a pod from a node, as preemption's dry run does.
func (c *cycle) remove(tb testing.TB, node fwk.NodeInfo, pod fwk.PodInfo) {
	tb.Helper()
	schedtest.Must(tb, node.RemovePod(klog.FromContext(c.ctx), pod.GetPod()))
	if !c.skipped {
		schedtest.Must(tb, c.plugin.RemovePod(c.ctx, c.state, c.pod, pod, node).AsError())
	}
}

// add adds a pod to a node, as the framework does with nominated pods.
func (c *cycle) add(tb testing.TB, node fwk.NodeInfo, pod fwk.PodInfo) {
	tb.Helper()
	node.AddPodInfo(pod)
	if !c.skipped {
		schedtest.Must(tb, c.plugin.AddPod(c.ctx, c.state, c.pod, pod, node).AsError())
	}
}

func (c *cycle) local() bool {
	_, err := c.state.Read(stateKey)
	return err == nil
}

var nodes = []*corev1.Node{node("n1", "z1"), node("n2", "z1"), node("n3", "z2"), st.MakeNode().Name("bare").Obj()}

func TestVerdict(t *testing.T) {
	const (
		own      = interpodaffinity.ErrReasonAntiAffinityRulesNotMatch
		existing = interpodaffinity.ErrReasonExistingAntiAffinityRulesNotMatch
		affinity = interpodaffinity.ErrReasonAffinityRulesNotMatch
	)
	together := func(p *st.PodWrapper, topology, app string) *st.PodWrapper {
		return p.PodAffinity(topology, ofApp(app), st.PodAffinityWithRequiredReq)
	}
	tests := map[string]struct {
		pod       *st.PodWrapper
		others    []*st.PodWrapper
		on        string // defaults to n1
		want      string // the reason
		wantCode  fwk.Code
		wantLocal bool
	}{
		"an empty node":                                            {pod: pinned("n1"), wantLocal: true},
		"a pod without terms":                                      {pod: pinned("n1"), others: []*st.PodWrapper{pod("q").Node("n1")}, wantLocal: true},
		"a pod of the node avoids it":                              {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Node("n1"), corev1.LabelHostname, "a")}, want: existing, wantCode: fwk.Unschedulable, wantLocal: true},
		"a pod of the node avoids others":                          {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Node("n1"), corev1.LabelHostname, "b")}, wantLocal: true},
		"a pod of another node avoids it":                          {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Node("n2"), corev1.LabelHostname, "a")}, wantLocal: true},
		"a pod of a node without the label avoids it":              {pod: pinned("bare"), on: "bare", others: []*st.PodWrapper{avoiding(pod("q").Node("bare"), corev1.LabelHostname, "a")}, wantLocal: true},
		"a pod of another namespace avoids its own namespace":      {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Namespace("other").Node("n1"), corev1.LabelHostname, "a")}, wantLocal: true},
		"a pod of another namespace avoids the team":               {pod: pinned("n1"), others: []*st.PodWrapper{inNamespaces(pod("q").Namespace("other").Node("n1"), "red")}, want: existing, wantCode: fwk.Unschedulable, wantLocal: true},
		"a pod of another namespace avoids another team":           {pod: pinned("n1"), others: []*st.PodWrapper{inNamespaces(pod("q").Namespace("other").Node("n1"), "blue")}, wantLocal: true},
		"it avoids a pod of the node":                              {pod: avoiding(pinned("n1"), corev1.LabelHostname, "a"), others: []*st.PodWrapper{pod("q").Node("n1")}, want: own, wantCode: fwk.Unschedulable, wantLocal: true},
		"it avoids a pod of another node":                          {pod: avoiding(pinned("n1"), corev1.LabelHostname, "a"), others: []*st.PodWrapper{pod("q").Node("n2")}, wantLocal: true},
		"it avoids a pod of a node without the label":              {pod: avoiding(pinned("bare"), corev1.LabelHostname, "a"), on: "bare", others: []*st.PodWrapper{pod("q").Node("bare")}, wantLocal: true},
		"it avoids a team's pods, and the node has one":            {pod: inNamespaces(pinned("n1"), "blue"), others: []*st.PodWrapper{pod("q").Namespace("other").Node("n1")}, want: own, wantCode: fwk.Unschedulable, wantLocal: true},
		"it avoids a team's pods, and the node has another team's": {pod: inNamespaces(pinned("n1"), "blue"), others: []*st.PodWrapper{pod("q").Node("n1")}, wantLocal: true},
		"it avoids pods of every namespace": {
			pod:    withTerm(pinned("n1"), corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: ofApp("a"), NamespaceSelector: &metav1.LabelSelector{}}),
			others: []*st.PodWrapper{pod("q").Namespace("unknown").Node("n1")}, want: own, wantCode: fwk.Unschedulable, wantLocal: true,
		},
		"both avoid each other": {
			pod:    avoiding(pinned("n1"), corev1.LabelHostname, "a"),
			others: []*st.PodWrapper{avoiding(pod("q").Node("n1"), corev1.LabelHostname, "a")}, want: own, wantCode: fwk.Unschedulable, wantLocal: true,
		},

		"a pod of the zone avoids it":                  {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Node("n2"), zone, "a")}, want: existing, wantCode: fwk.Unschedulable},
		"a pod of another zone avoids it":              {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q").Node("n3"), zone, "a")}},
		"a waiting pod avoids the zone":                {pod: pinned("n1"), others: []*st.PodWrapper{avoiding(pod("q"), zone, "a")}},
		"it avoids the zone":                           {pod: avoiding(pinned("n1"), zone, "a"), others: []*st.PodWrapper{pod("q").Node("n2")}, want: own, wantCode: fwk.Unschedulable},
		"affinity to pods that do not exist":           {pod: together(pinned("n1"), corev1.LabelHostname, "b"), want: affinity, wantCode: fwk.UnschedulableAndUnresolvable},
		"affinity to a pod of the node":                {pod: together(pinned("n1"), corev1.LabelHostname, "b"), others: []*st.PodWrapper{pod("q").Label("app", "b").Node("n1")}},
		"affinity to itself, first of its group":       {pod: together(pinned("n1"), corev1.LabelHostname, "a")},
		"affinity to itself, the first is on the node": {pod: together(pinned("n1"), corev1.LabelHostname, "a"), others: []*st.PodWrapper{pod("q").Node("n2")}, want: affinity, wantCode: fwk.UnschedulableAndUnresolvable},
		"pinned to two nodes":                          {pod: avoiding(pinned("n1", "n2"), corev1.LabelHostname, "a"), others: []*st.PodWrapper{pod("q").Node("n1")}, want: own, wantCode: fwk.Unschedulable},
		"bound, and queued for a resize":               {pod: pinned("n1").Node("n1"), others: []*st.PodWrapper{pod("q").Node("n1")}},
		"invalid terms": {
			pod: withTerm(pinned("n1"), corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Near"}}}}),
			want: `parsing pod: requiredAntiAffinityTerms: "Near" is not a valid label selector operator`, wantCode: fwk.UnschedulableAndUnresolvable,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.on == "" {
				test.on = "n1"
			}
			var pods []*corev1.Pod
			for _, other := range test.others {
				pods = append(pods, other.Obj())
			}
			c := newCluster(t, nodes, pods, namespace("ns", "red"), namespace("other", "blue"))
			ours, upstreams := c.cycle(t, c.ours, test.pod.Obj()), c.cycle(t, c.upstreams, test.pod.Obj())
			if ours.local() != test.wantLocal {
				t.Errorf("evaluated on its node: %v, want %v", ours.local(), test.wantLocal)
			}
			for who, cycle := range map[string]*cycle{"ours": ours, "upstream's": upstreams} {
				got := cycle.verdict(c.node(t, test.on))
				if got.Code() != test.wantCode || got.Message() != test.want {
					t.Errorf("%s: %v %q, want %v %q", who, got.Code(), got.Message(), test.wantCode, test.want)
				}
			}
		})
	}
}

// Preemption removes pods from a copy of a node, and nominated pods are added to one.
func TestDryRuns(t *testing.T) {
	avoids, atZone := avoiding(pod("q").Node("n1"), corev1.LabelHostname, "a").Obj(), avoiding(pod("q").Node("n1"), zone, "a").Obj()
	avoidsB := avoiding(pinned("n1"), corev1.LabelHostname, "b").Obj()
	b := pod("q").Label("app", "b").Node("n1").Obj()
	tests := map[string]struct {
		pod     *corev1.Pod
		on      []*corev1.Pod
		remove  *corev1.Pod
		add     *corev1.Pod
		refused bool
	}{
		"a pod that avoids it is removed":         {pod: pinned("n1").Obj(), on: []*corev1.Pod{avoids}, remove: avoids},
		"a pod that avoids its zone is removed":   {pod: pinned("n1").Obj(), on: []*corev1.Pod{atZone}, remove: atZone},
		"a pod that it avoids is removed":         {pod: avoidsB, on: []*corev1.Pod{b}, remove: b},
		"a pod that avoids it is nominated":       {pod: pinned("n1").Obj(), add: avoids, refused: true},
		"a pod that avoids its zone is nominated": {pod: pinned("n1").Obj(), add: atZone, refused: true},
		"a pod that it avoids is nominated":       {pod: avoidsB, add: b, refused: true},
		"a pod without terms is nominated":        {pod: pinned("n1").Obj(), add: b},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, nodes, test.on)
			cycle, node := c.cycle(t, c.ours, test.pod), c.node(t, "n1")
			if test.remove != nil {
				if status := cycle.verdict(node); !status.IsRejected() {
					t.Errorf("before: %v, want a refusal", status)
				}
				cycle.remove(t, node, info(t, test.remove))
			}
			if test.add != nil {
				cycle.add(t, node, info(t, test.add))
			}
			if status := cycle.verdict(node); status.IsRejected() != test.refused {
				t.Errorf("after: %v, want a refusal: %v", status, test.refused)
			}
		})
	}
}

func info(tb testing.TB, pod *corev1.Pod) fwk.PodInfo {
	tb.Helper()
	made, err := framework.NewPodInfo(pod)
	schedtest.Must(tb, err)
	return made
}

func TestStateThatIsNotOurs(t *testing.T) {
	c := newCluster(t, nodes, nil)
	state := framework.NewCycleState()
	state.Write(stateKey, foreign{})
	node, other := c.node(t, "n1"), info(t, pod("q").Obj())
	for point, status := range map[string]*fwk.Status{
		"Filter":    c.ours.Filter(schedtest.Quiet(t), state, pinned("n1").Obj(), node),
		"AddPod":    c.ours.(fwk.PreFilterExtensions).AddPod(schedtest.Quiet(t), state, pinned("n1").Obj(), other, node),
		"RemovePod": c.ours.(fwk.PreFilterExtensions).RemovePod(schedtest.Quiet(t), state, pinned("n1").Obj(), other, node),
	} {
		if status.Code() != fwk.Error {
			t.Errorf("%s: %v, want an error", point, status)
		}
	}
}

type foreign struct{}

func (f foreign) Clone() fwk.StateData { return f }

// Another pod's reach is known while the pod is in the store, however it was added and removed.
func TestReach(t *testing.T) {
	wide, narrow := avoiding(pod("q").Node("n1"), zone, "a").Obj(), avoiding(pod("q").Node("n1"), corev1.LabelHostname, "a").Obj()
	waiting := avoiding(pod("q"), zone, "a").Obj()
	c := newCluster(t, nodes, nil)
	plugin, store := c.ours.(*PodAffinity), c.factory.Core().V1().Pods().Informer().GetStore()
	for _, step := range []struct {
		name   string
		change func() error
		want   bool
	}{
		{"no pods", func() error { return nil }, false},
		{"a term of its node", func() error { return store.Add(narrow) }, false},
		{"a term that reaches further", func() error { return store.Add(avoiding(pod("r").Node("n1"), zone, "a").Obj()) }, true},
		{"and another", func() error { return store.Update(wide) }, true},
		{"the first is deleted", func() error { return store.Delete(pod("r").Obj()) }, true},
		{"the other is replaced", func() error { return store.Update(narrow) }, false},
		{"a waiting pod", func() error { return store.Update(waiting) }, true},
		{"the waiting pod is bound", func() error { return store.Update(wide) }, true},
		{"listed again", func() error { return store.Replace([]any{wide, pod("r").Obj()}, "2") }, true},
		{"a relist without it", func() error { return store.Replace([]any{pod("r").Obj()}, "3") }, false},
	} {
		schedtest.Must(t, step.change())
		if got := plugin.anyReaches(); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

func TestQueueingHints(t *testing.T) {
	labelled := func(p *st.PodWrapper, app string) *corev1.Pod { return p.Label("app", app).Obj() }
	alone, avoidsB := pinned("n1").Obj(), avoiding(pinned("n1"), corev1.LabelHostname, "b").Obj()
	avoidsZone := avoiding(pinned("n1"), zone, "b").Obj()
	avoidsTeam := inNamespaces(pinned("n1"), "blue").Obj()
	withB := pinned("n1").PodAffinity(zone, ofApp("b"), st.PodAffinityWithRequiredReq).Obj()
	bare := func(name string) *corev1.Node { return st.MakeNode().Name(name).Obj() }

	tests := map[string]struct {
		pod      *corev1.Pod
		resource fwk.EventResource
		action   fwk.ActionType
		before   any
		after    any
		want     fwk.QueueingHint
		wantErr  bool
	}{
		"a pod that avoids it is deleted":                            {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").Node("n1"), corev1.LabelHostname, "a").Obj(), want: fwk.Queue},
		"a pod of another node that avoids it is deleted":            {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").Node("n2"), corev1.LabelHostname, "a").Obj(), want: fwk.QueueSkip},
		"a pod that avoids it loses its nomination":                  {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").NominatedNodeName("n1"), corev1.LabelHostname, "a").Obj(), want: fwk.Queue},
		"a pod that avoids it loses its nomination for another node": {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").NominatedNodeName("n2"), corev1.LabelHostname, "a").Obj(), want: fwk.QueueSkip},
		"a pod that avoids its team is deleted":                      {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: inNamespaces(pod("q").Namespace("other").Node("n1"), "red").Obj(), want: fwk.Queue},
		"a pod that avoids another team is deleted":                  {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: inNamespaces(pod("q").Namespace("other").Node("n1"), "blue").Obj(), want: fwk.QueueSkip},
		"a pod that avoids others is deleted":                        {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").Node("n1"), corev1.LabelHostname, "b").Obj(), want: fwk.QueueSkip},
		"a pod without terms is deleted":                             {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: pod("q").Node("n1").Obj(), want: fwk.QueueSkip},
		"a pod of another node that avoids its zone is deleted":      {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: avoiding(pod("q").Node("n2"), zone, "a").Obj(), want: fwk.Queue},
		"an object that is not a pod is deleted":                     {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, before: bare("n1"), want: fwk.Queue, wantErr: true},
		"a pod with invalid terms is deleted": {pod: alone, resource: fwk.AssignedPod, action: fwk.Delete, want: fwk.Queue, wantErr: true,
			before: withTerm(pod("q").Node("n1"), corev1.PodAffinityTerm{LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Near"}}}}).Obj()},
		"a pod that it avoids is deleted":                    {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.Delete, before: labelled(pod("q").Node("n1"), "b"), want: fwk.Queue},
		"a pod of another node that it avoids is deleted":    {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.Delete, before: labelled(pod("q").Node("n2"), "b"), want: fwk.QueueSkip},
		"a pod of a team that it avoids is deleted":          {pod: avoidsTeam, resource: fwk.AssignedPod, action: fwk.Delete, before: pod("q").Namespace("other").Node("n1").Obj(), want: fwk.Queue},
		"a pod that it avoids gets other labels":             {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.UpdatePodLabel, before: labelled(pod("q").Node("n1"), "b"), after: labelled(pod("q").Node("n1"), "c"), want: fwk.Queue},
		"a pod that it avoids changes, with the same labels": {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.UpdatePodLabel, before: labelled(pod("q").Node("n1"), "b"), after: labelled(pod("q").Node("n1").Label("k", "v"), "b"), want: fwk.QueueSkip},
		"a pod of another node gets other labels":            {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.UpdatePodLabel, before: labelled(pod("q").Node("n2"), "b"), after: labelled(pod("q").Node("n2"), "c"), want: fwk.QueueSkip},
		"a pod becomes one that it avoids":                   {pod: avoidsB, resource: fwk.AssignedPod, action: fwk.UpdatePodLabel, before: labelled(pod("q").Node("n1"), "c"), after: labelled(pod("q").Node("n1"), "b"), want: fwk.QueueSkip},
		"one comes":                                          {pod: alone, resource: fwk.AssignedPod, action: fwk.Add, after: pod("q").Node("n1").Obj(), want: fwk.QueueSkip},
		"it changes its labels":                              {pod: alone, resource: fwk.TargetPod, action: fwk.UpdatePodLabel, before: alone, after: alone, want: fwk.Queue},
		"the node loses the topology":                        {pod: avoidsB, resource: fwk.Node, action: fwk.UpdateNodeLabel, before: node("n1", "z1"), after: bare("n1"), want: fwk.Queue},
		"another node loses the topology":                    {pod: avoidsB, resource: fwk.Node, action: fwk.UpdateNodeLabel, before: node("n2", "z1"), after: bare("n2"), want: fwk.QueueSkip},
		"the node is added":                                  {pod: avoidsB, resource: fwk.Node, action: fwk.Add, after: node("n1", "z1"), want: fwk.Queue},
		"another node is added":                              {pod: avoidsB, resource: fwk.Node, action: fwk.Add, after: node("n2", "z1"), want: fwk.QueueSkip},

		"zone: a pod of another node that it avoids is deleted":          {pod: avoidsZone, resource: fwk.AssignedPod, action: fwk.Delete, before: labelled(pod("q").Node("n2"), "b"), want: fwk.Queue},
		"zone: another node leaves it":                                   {pod: avoidsZone, resource: fwk.Node, action: fwk.UpdateNodeLabel, before: node("n2", "z1"), after: node("n2", "z2"), want: fwk.Queue},
		"zone: a pod that its affinity selects is added to another node": {pod: withB, resource: fwk.AssignedPod, action: fwk.Add, after: labelled(pod("q").Node("n2"), "b"), want: fwk.Queue},
		"not pinned: a pod that it avoids is deleted":                    {pod: avoiding(pinned("n1", "n2"), corev1.LabelHostname, "b").Obj(), resource: fwk.AssignedPod, action: fwk.Delete, before: labelled(pod("q").Node("n2"), "b"), want: fwk.Queue},
	}
	c := newCluster(t, nodes, nil, namespace("ns", "red"), namespace("other", "blue"))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hint := schedtest.HintOf(t, c.ours, test.resource, test.action)
			got, err := hint(klog.FromContext(schedtest.Quiet(t)), test.pod, test.before, test.after)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// All of upstream's events are registered. The test fails if a later Kubernetes registers events
// of all pods, for which there is no hint here.
func TestEventsAreUpstreams(t *testing.T) {
	c := newCluster(t, nodes, nil)
	ours, err := c.ours.EventsToRegister(t.Context())
	schedtest.Must(t, err)
	upstreams, err := c.upstreams.EventsToRegister(t.Context())
	schedtest.Must(t, err)
	if len(ours) != len(upstreams) {
		t.Fatalf("%d events, upstream %d", len(ours), len(upstreams))
	}
	known := sets.New(fwk.AssignedPod, fwk.TargetPod, fwk.Node)
	for i := range ours {
		if upstreams[i].QueueingHintFn == nil {
			t.Errorf("event %v has no hint", upstreams[i].Event)
		}
		if ours[i].Event != upstreams[i].Event || !known.Has(ours[i].Event.Resource) {
			t.Errorf("event %v, upstream %v", ours[i].Event, upstreams[i].Event)
		}
	}
}

func TestNew(t *testing.T) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	handle, err := frameworkruntime.NewFramework(schedtest.Quiet(t), nil, nil,
		frameworkruntime.WithInformerFactory(factory), frameworkruntime.WithSnapshotSharedLister(internalcache.NewEmptySnapshot()))
	schedtest.Must(t, err)
	// Two profiles of a process share the informer.
	for range 2 {
		plugin, err := New(schedtest.Quiet(t), nil, handle)
		schedtest.Must(t, err)
		if plugin.Name() != Name {
			t.Errorf("Name = %s", plugin.Name())
		}
		if _, ok := plugin.(fwk.ScorePlugin); ok {
			t.Error("Score is implemented")
		}
		if _, ok := plugin.(fwk.SignPlugin); ok {
			t.Error("SignPod is implemented")
		}
	}
	if _, err := New(schedtest.Quiet(t), &runtime.Unknown{}, handle); err == nil || !strings.Contains(err.Error(), "plugin "+Name+" takes no arguments") {
		t.Errorf("with args: %v, want an error", err)
	}
	empty, err := frameworkruntime.NewFramework(schedtest.Quiet(t), nil, nil, frameworkruntime.WithInformerFactory(factory))
	schedtest.Must(t, err)
	if _, err := New(schedtest.Quiet(t), nil, empty); err == nil || !strings.Contains(err.Error(), "plugin "+Name) {
		t.Errorf("without a snapshot: %v, want an error that names the plugin", err)
	}
}
