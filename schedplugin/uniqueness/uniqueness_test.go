package uniqueness

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

const (
	ours   = "everynode.dev/v1alpha1"
	native = "apps/v1"
)

// ownerRef is a controller reference of the kind DaemonSet.
func ownerRef(apiVersion string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: "DaemonSet", Name: "d", UID: uid, Controller: new(true)}
}

// pinned is a term that matchFields restricts to one of nodes.
func pinned(nodes ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
		{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: nodes},
	}}
}

func required(terms ...corev1.NodeSelectorTerm) *corev1.NodeAffinity {
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}
}

// pod is a pod of the daemon uid-d that waits for node n1, of priority 100.
func pod(name string) *podWrapper {
	p := &podWrapper{st.MakePod().Namespace("ns").Name(name).UID("uid-" + name).Priority(100).NodeAffinity(required(pinned("n1"))).Obj()}
	return p.owner(ownerRef(ours, "uid-d"))
}

// twin is a pod of the same daemon that is bound to n1.
func twin(name string) *podWrapper { return pod(name).on("n1") }

type podWrapper struct{ *corev1.Pod }

// plugin is one that knows the nodes n1 and n2.
func plugin() *Uniqueness {
	return &Uniqueness{snapshot: internalcache.NewSnapshot(nil, []*corev1.Node{st.MakeNode().Name("n1").Obj(), st.MakeNode().Name("n2").Obj()})}
}

func (p *podWrapper) obj() *corev1.Pod { return p.Pod }

func (p *podWrapper) owner(owners ...metav1.OwnerReference) *podWrapper {
	p.OwnerReferences = owners
	return p
}

func (p *podWrapper) on(node string) *podWrapper {
	p.Spec.NodeName = node
	return p
}

func (p *podWrapper) priority(priority int32) *podWrapper {
	p.Spec.Priority = &priority
	return p
}

func (p *podWrapper) noPriority() *podWrapper {
	p.Spec.Priority = nil
	return p
}

func (p *podWrapper) uid(uid types.UID) *podWrapper {
	p.UID = uid
	return p
}

func (p *podWrapper) namespace(namespace string) *podWrapper {
	p.Namespace = namespace
	return p
}

func (p *podWrapper) affinity(affinity *corev1.NodeAffinity) *podWrapper {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
	return p
}

func (p *podWrapper) revision(revision string) *podWrapper {
	metav1.SetMetaDataLabel(&p.ObjectMeta, "controller-revision-hash", revision)
	return p
}

func (p *podWrapper) surge() *podWrapper {
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.SurgeAnnotation, "true")
	return p
}

func (p *podWrapper) terminating() *podWrapper {
	p.DeletionTimestamp = new(metav1.Now())
	return p
}

func (p *podWrapper) phase(phase corev1.PodPhase) *podWrapper {
	p.Status.Phase = phase
	return p
}

func (p *podWrapper) cpu(request string) *podWrapper {
	p.Pod = (&st.PodWrapper{Pod: *p.Pod}).Req(map[corev1.ResourceName]string{corev1.ResourceCPU: request}).Obj()
	return p
}

func (p *podWrapper) never() *podWrapper {
	p.Spec.PreemptionPolicy = new(corev1.PreemptNever)
	return p
}

func TestPreFilter(t *testing.T) {
	zone := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}
	zoned := func(term corev1.NodeSelectorTerm) corev1.NodeSelectorTerm {
		term.MatchExpressions = []corev1.NodeSelectorRequirement{zone}
		return term
	}
	served := daemon.Key{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	replicaSet, noController := ownerRef(native, "uid-d"), ownerRef(native, "uid-d")
	replicaSet.Kind, noController.Controller = "ReplicaSet", nil

	tests := map[string]struct {
		pod        *corev1.Pod
		wantPlace  daemon.Key
		wantStatus *fwk.Status
	}{
		"owned by ours":              {pod: pod("p").obj(), wantPlace: served},
		"owned by apps":              {pod: pod("p").owner(ownerRef(native, "uid-d")).obj(), wantPlace: served},
		"several agreeing pins":      {pod: pod("p").affinity(required(zoned(pinned("n1")), pinned("n1"))).obj(), wantPlace: served},
		"a pin beside an empty term": {pod: pod("p").affinity(required(corev1.NodeSelectorTerm{}, pinned("n1"))).obj(), wantPlace: served},
		"another node":               {pod: pod("p").affinity(required(pinned("n2"))).obj(), wantPlace: daemon.Key{Namespace: "ns", Owner: "uid-d", Node: "n2"}},
		"another namespace":          {pod: pod("p").namespace("other").obj(), wantPlace: daemon.Key{Namespace: "other", Owner: "uid-d", Node: "n1"}},
		"beside another owner":       {pod: pod("p").owner(noController, ownerRef(ours, "uid-e")).obj(), wantPlace: daemon.Key{Namespace: "ns", Owner: "uid-e", Node: "n1"}},

		"no owner":                    {pod: pod("p").owner().obj(), wantStatus: refused(ReasonNotOwned)},
		"of a ReplicaSet":             {pod: pod("p").owner(replicaSet).obj(), wantStatus: refused(ReasonNotOwned)},
		"owner, not controller":       {pod: pod("p").owner(noController).obj(), wantStatus: refused(ReasonNotOwned)},
		"another group's":             {pod: pod("p").owner(ownerRef("apps.kruise.io/v1alpha1", "uid-d")).obj(), wantStatus: refused(ReasonNotOwned)},
		"neither owned nor pinned":    {pod: pod("p").owner().affinity(nil).obj(), wantStatus: refused(ReasonNotOwned)},
		"of a node that is not there": {pod: pod("p").affinity(required(pinned("n3"))).obj(), wantStatus: refused(ReasonNoNode)},
		"not pinned":                  {pod: pod("p").affinity(nil).obj(), wantStatus: refused(ReasonNotPinned)},
		"a term that is not":          {pod: pod("p").affinity(required(pinned("n1"), zoned(corev1.NodeSelectorTerm{}))).obj(), wantStatus: refused(ReasonNotPinned)},
		"pins that differ":            {pod: pod("p").affinity(required(pinned("n1"), pinned("n2"))).obj(), wantStatus: refused(ReasonNotPinned)},
		"a choice of two":             {pod: pod("p").affinity(required(pinned("n1", "n2"))).obj(), wantStatus: refused(ReasonNotPinned)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state := framework.NewCycleState()
			gotResult, gotStatus := plugin().PreFilter(t.Context(), state, test.pod, nil)
			if diff := cmp.Diff(test.wantStatus, gotStatus); diff != "" {
				t.Errorf("status (-want, +got):\n%s", diff)
			}
			data, err := state.Read(stateKey)
			if test.wantStatus != nil {
				if gotResult != nil || err == nil {
					t.Errorf("a refused pod leaves result %v and state %v, want neither", gotResult, data)
				}
				return
			}
			if diff := cmp.Diff(&fwk.PreFilterResult{NodeNames: sets.New(test.wantPlace.Node)}, gotResult); diff != "" {
				t.Errorf("result (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(fwk.StateData(place{test.wantPlace}), data); err != nil || diff != "" {
				t.Errorf("state (-want, +got), error %v:\n%s", err, diff)
			}
		})
	}
}

func refused(reason string) *fwk.Status {
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

func TestFilter(t *testing.T) {
	already := func(name string) *fwk.Status {
		return refused("already has pod " + name + " of the same DaemonSet")
	}
	leaving := func(name string) *fwk.Status {
		return refused("pod " + name + " of the same DaemonSet is terminating; waiting until it is gone")
	}
	lower := func(name string) *fwk.Status {
		return fwk.NewStatus(fwk.Unschedulable, "has lower-priority pod "+name+" of the same DaemonSet")
	}
	victim := func(name string) *fwk.Status {
		return fwk.NewStatus(fwk.Unschedulable, "pod "+name+" of the same DaemonSet is terminating; waiting until it is gone")
	}
	replicaSet := ownerRef(native, "uid-d")
	replicaSet.Kind = "ReplicaSet"

	tests := map[string]struct {
		pod  *corev1.Pod // pod("p") when nil
		node string      // n1 when empty
		pods []*podWrapper
		want *fwk.Status // nil: the pod may go there
	}{
		"an empty node":                             {},
		"twin of equal priority":                    {pods: []*podWrapper{twin("t")}, want: already("t")},
		"twin of higher priority":                   {pods: []*podWrapper{twin("t").priority(101)}, want: already("t")},
		"twin of lower priority":                    {pods: []*podWrapper{twin("t").priority(99)}, want: lower("t")},
		"no priority counts as 0":                   {pod: pod("p").priority(0).obj(), pods: []*podWrapper{twin("t").noPriority()}, want: already("t")},
		"below no priority":                         {pod: pod("p").priority(-1).obj(), pods: []*podWrapper{twin("t").noPriority()}, want: already("t")},
		"above no priority":                         {pod: pod("p").priority(1).obj(), pods: []*podWrapper{twin("t").noPriority()}, want: lower("t")},
		"a nominated twin":                          {pods: []*podWrapper{pod("t")}, want: already("t")},
		"a nominated, lower twin":                   {pods: []*podWrapper{pod("t").priority(99)}, want: lower("t")},
		"a twin whose owner's API version is later": {pods: []*podWrapper{twin("t").owner(ownerRef("everynode.dev/v1", "uid-d"))}, want: already("t")},

		"terminating, equal priority":  {pods: []*podWrapper{twin("t").terminating()}, want: leaving("t")},
		"terminating, higher priority": {pods: []*podWrapper{twin("t").priority(101).terminating()}, want: leaving("t")},
		"terminating, lower priority":  {pods: []*podWrapper{twin("t").priority(99).terminating()}, want: victim("t")}, // it may be this pod's own victim

		"several twins, all lower":           {pods: []*podWrapper{twin("t").priority(98), twin("u").priority(99)}, want: lower("t")},
		"several twins, the first equal":     {pods: []*podWrapper{twin("t"), twin("u").priority(99)}, want: already("t")},
		"several twins, the last equal":      {pods: []*podWrapper{twin("t").priority(99), twin("u")}, want: already("u")},
		"several twins, the last terminates": {pods: []*podWrapper{twin("t").priority(99), twin("u").priority(99).terminating()}, want: lower("t")},
		"several twins, the last ends":       {pods: []*podWrapper{twin("t").priority(99).terminating(), twin("u").terminating()}, want: leaving("u")},
		"a twin among strangers":             {pods: []*podWrapper{twin("s").owner(), twin("t"), twin("u").namespace("other")}, want: already("t")},

		"a surge beside the old revision":    {pod: pod("p").revision("r2").surge().obj(), pods: []*podWrapper{twin("t").revision("r1")}},
		"a surge beside a higher old one":    {pod: pod("p").revision("r2").surge().obj(), pods: []*podWrapper{twin("t").revision("r1").priority(101)}},
		"a surge beside one that terminates": {pod: pod("p").revision("r2").surge().obj(), pods: []*podWrapper{twin("t").revision("r1").terminating()}},
		"a surge beside its own revision":    {pod: pod("p").revision("r2").surge().obj(), pods: []*podWrapper{twin("t").revision("r2")}, want: already("t")},
		"a surge beside two":                 {pod: pod("p").revision("r3").surge().obj(), pods: []*podWrapper{twin("t").revision("r1"), twin("u").revision("r2")}, want: already("t")},
		"another revision, no surge":         {pod: pod("p").revision("r2").obj(), pods: []*podWrapper{twin("t").revision("r1").surge()}, want: already("t")},

		"another namespace's":        {pods: []*podWrapper{twin("t").namespace("other")}},
		"another daemon's":           {pods: []*podWrapper{twin("t").owner(ownerRef(ours, "uid-e"))}},
		"a ReplicaSet's":             {pods: []*podWrapper{twin("t").owner(replicaSet)}},
		"nobody's":                   {pods: []*podWrapper{twin("t").owner()}},
		"itself":                     {pods: []*podWrapper{twin("p")}},
		"itself and a twin":          {pods: []*podWrapper{twin("p"), twin("t")}, want: already("t")},
		"an earlier pod of its name": {pods: []*podWrapper{twin("p").uid("earlier")}, want: already("p")},

		// The scheduler's informer drops finished pods. Should a NodeInfo show one all the same, it
		// holds its place as any object does (S1); its deletion wakes the pod.
		"a finished twin that is still shown": {pods: []*podWrapper{twin("t").phase(corev1.PodSucceeded)}, want: already("t")},

		// The place is on n1: what is on another node does not matter to it. That the pod cannot
		// go there is NodeAffinity's to say.
		"the daemon's pod on another node": {node: "n2", pods: []*podWrapper{twin("t").on("n2")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wanting, node := test.pod, test.node
			if wanting == nil {
				wanting = pod("p").obj()
			}
			if node == "" {
				node = "n1"
			}
			info := framework.NewNodeInfo()
			info.SetNode(st.MakeNode().Name(node).Obj())
			for _, p := range test.pods {
				info.AddPod(p.obj())
			}
			plugin, state := plugin(), framework.NewCycleState()
			if _, status := plugin.PreFilter(t.Context(), state, wanting, nil); !status.IsSuccess() {
				t.Fatalf("PreFilter: %v", status)
			}
			if diff := cmp.Diff(test.want, plugin.Filter(t.Context(), state, wanting, info)); diff != "" {
				t.Errorf("status (-want, +got):\n%s", diff)
			}
			// Preemption's dry runs filter with a copy of the state.
			if diff := cmp.Diff(test.want, plugin.Filter(t.Context(), state.Clone(), wanting, info)); diff != "" {
				t.Errorf("status with a copy of the state (-want, +got):\n%s", diff)
			}
		})
	}
}

// strange is state that is not a place.
type strange struct{}

func (strange) Clone() fwk.StateData { return strange{} }

// A state that PreFilter did not leave is an error, never a yes.
func TestFilterWithoutState(t *testing.T) {
	foreign := framework.NewCycleState()
	foreign.Write(stateKey, strange{})
	for name, state := range map[string]fwk.CycleState{"none": framework.NewCycleState(), "another's": foreign} {
		t.Run(name, func(t *testing.T) {
			info := framework.NewNodeInfo()
			info.SetNode(st.MakeNode().Name("n1").Obj())
			if status := (&Uniqueness{}).Filter(t.Context(), state, pod("p").obj(), info); status.Code() != fwk.Error {
				t.Errorf("Filter: %v, want an error", status)
			}
		})
	}
}

func TestQueueingHint(t *testing.T) {
	tests := map[string]struct {
		pod     *corev1.Pod // pod("p") when nil
		gone    any
		want    fwk.QueueingHint
		wantErr bool
	}{
		"its twin":                      {gone: twin("t").obj(), want: fwk.Queue},
		"a terminating twin":            {gone: twin("t").terminating().obj(), want: fwk.Queue},
		"a twin of higher priority":     {gone: twin("t").priority(101).obj(), want: fwk.Queue},
		"a finished twin":               {gone: twin("t").phase(corev1.PodFailed).obj(), want: fwk.Queue},
		"a nominated twin":              {gone: pod("t").obj(), want: fwk.Queue},
		"its twin, seen too late":       {gone: cache.DeletedFinalStateUnknown{Key: "ns/t", Obj: twin("t").obj()}, want: fwk.Queue},
		"another daemon's, too late":    {gone: cache.DeletedFinalStateUnknown{Key: "ns/t", Obj: twin("t").owner(ownerRef(ours, "uid-e")).obj()}, want: fwk.QueueSkip},
		"another daemon's":              {gone: twin("t").owner(ownerRef(ours, "uid-e")).obj(), want: fwk.QueueSkip},
		"nobody's":                      {gone: twin("t").owner().obj(), want: fwk.QueueSkip},
		"another namespace's":           {gone: twin("t").namespace("other").obj(), want: fwk.QueueSkip},
		"another node's":                {gone: twin("t").on("n2").obj(), want: fwk.QueueSkip},
		"a pod that nobody serves":      {pod: pod("p").owner().obj(), gone: twin("t").owner().obj(), want: fwk.QueueSkip},
		"a pod that is not pinned":      {pod: pod("p").affinity(nil).obj(), gone: twin("t").obj(), want: fwk.QueueSkip},
		"pods without places":           {pod: pod("p").affinity(nil).obj(), gone: pod("t").affinity(nil).obj(), want: fwk.QueueSkip},
		"what is no pod":                {gone: st.MakeNode().Name("n1").Obj(), want: fwk.Queue, wantErr: true},
		"what is no pod, seen too late": {gone: cache.DeletedFinalStateUnknown{Key: "n1", Obj: st.MakeNode().Name("n1").Obj()}, want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, ctx := ktesting.NewTestContext(t)
			waiting := test.pod
			if waiting == nil {
				waiting = pod("p").obj()
			}
			got, err := hintOf(ctx, t, fwk.AssignedPod, fwk.Delete)(logger, waiting, test.gone, nil)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// The place of a pod is its owner's: it becomes free when a twin is released, and wanted when the
// pod itself is adopted.
func TestQueueingHintOfUpdates(t *testing.T) {
	released := twin("t").owner().obj()
	tests := map[string]struct {
		resource fwk.EventResource
		before   any
		after    any
		want     fwk.QueueingHint
		wantErr  bool
	}{
		"its twin is released":             {resource: fwk.AssignedPod, before: twin("t").obj(), after: released, want: fwk.Queue},
		"its twin goes to another daemon":  {resource: fwk.AssignedPod, before: twin("t").obj(), after: twin("t").owner(ownerRef(ours, "uid-e")).obj(), want: fwk.Queue},
		"its twin changes":                 {resource: fwk.AssignedPod, before: twin("t").obj(), after: twin("t").priority(7).obj(), want: fwk.QueueSkip},
		"a twin is adopted":                {resource: fwk.AssignedPod, before: released, after: twin("t").obj(), want: fwk.QueueSkip},
		"another node's is released":       {resource: fwk.AssignedPod, before: twin("t").on("n2").obj(), after: twin("t").on("n2").owner().obj(), want: fwk.QueueSkip},
		"what is no pod changes":           {resource: fwk.AssignedPod, before: st.MakeNode().Obj(), after: released, want: fwk.Queue, wantErr: true},
		"it is adopted":                    {resource: fwk.TargetPod, before: pod("p").owner().obj(), after: pod("p").obj(), want: fwk.Queue},
		"it changes, and was served":       {resource: fwk.TargetPod, before: pod("p").obj(), after: pod("p").priority(7).obj(), want: fwk.QueueSkip},
		"it changes, and is not served":    {resource: fwk.TargetPod, before: pod("p").owner().obj(), after: pod("p").owner().priority(7).obj(), want: fwk.QueueSkip},
		"it is released":                   {resource: fwk.TargetPod, before: pod("p").obj(), after: pod("p").owner().obj(), want: fwk.QueueSkip},
		"what is no pod is the pod itself": {resource: fwk.TargetPod, before: st.MakeNode().Obj(), after: released, want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, ctx := ktesting.NewTestContext(t)
			got, err := hintOf(ctx, t, test.resource, fwk.Update)(logger, pod("p").obj(), test.before, test.after)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

func hintOf(ctx context.Context, t *testing.T, resource fwk.EventResource, action fwk.ActionType) fwk.QueueingHintFn {
	t.Helper()
	events, err := (&Uniqueness{}).EventsToRegister(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		if event.Event.Resource == resource && event.Event.ActionType == action {
			return event.QueueingHintFn
		}
	}
	t.Fatalf("no hint for %s %v", resource, action)
	return nil
}

// A pod may be made before the scheduler sees its node.
func TestQueueingHintOfNodes(t *testing.T) {
	tests := map[string]struct {
		pod     *podWrapper
		added   any
		want    fwk.QueueingHint
		wantErr bool
	}{
		"its node":                    {pod: pod("p"), added: st.MakeNode().Name("n1").Obj(), want: fwk.Queue},
		"another node":                {pod: pod("p"), added: st.MakeNode().Name("n2").Obj(), want: fwk.QueueSkip},
		"a node, of a pod for no one": {pod: pod("p").affinity(nil), added: st.MakeNode().Name("n1").Obj(), want: fwk.QueueSkip},
		"what is no node":             {pod: pod("p"), added: pod("q").obj(), want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, ctx := ktesting.NewTestContext(t)
			got, err := hintOf(ctx, t, fwk.Node, fwk.Add)(logger, test.pod.obj(), nil, test.added)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// In a profile of all pods the plugin holds daemons' pods to S1, and neither others nor batching
// notice it.
func TestShared(t *testing.T) {
	tests := map[string]struct {
		pod     *podWrapper
		ignored bool
	}{
		"a daemon's":                    {pod: pod("p")},
		"nobody's":                      {pod: pod("p").owner(), ignored: true},
		"a daemon's without a node":     {pod: pod("p").affinity(nil), ignored: true},
		"a daemon's with two to choose": {pod: pod("p").affinity(required(pinned("n1", "n2"))), ignored: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all, state := &shared{plugin()}, framework.NewCycleState()
			_, status := all.PreFilter(t.Context(), state, test.pod.obj(), nil)
			if status.IsSkip() != test.ignored || status.IsRejected() {
				t.Errorf("PreFilter %v, want it skipped: %v", status, test.ignored)
			}
			fragments, status := all.SignPod(t.Context(), test.pod.obj())
			if fragments != nil || status.IsSuccess() != test.ignored || status.IsError() {
				t.Errorf("SignPod %v, %v; want it signed: %v", fragments, status, test.ignored)
			}
			if test.ignored {
				return
			}
			node := framework.NewNodeInfo(twin("t").obj())
			node.SetNode(st.MakeNode().Name("n1").Obj())
			if status := all.Filter(t.Context(), state, test.pod.obj(), node); !status.IsRejected() {
				t.Errorf("Filter beside a twin: %v, want it refused", status)
			}
		})
	}
}

type handle struct {
	fwk.Handle
	snapshot fwk.SharedLister
}

func (h handle) SnapshotSharedLister() fwk.SharedLister { return h.snapshot }

func TestNew(t *testing.T) {
	tests := map[string]struct {
		args      string
		wantSigns bool
		wantError string
	}{
		"no args":        {},
		"to refuse":      {args: "{otherPods: Refuse}"},
		"to ignore":      {args: "{otherPods: Ignore}", wantSigns: true},
		"another value":  {args: "{otherPods: Allow}", wantError: `plugin EverynodeUniqueness: otherPods: "Allow" is neither Refuse nor Ignore: correct its args under pluginConfig`},
		"a misspelt one": {args: "{otherPod: Ignore}", wantError: `unknown field "otherPod"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var args runtime.Object
			if test.args != "" {
				args = &runtime.Unknown{Raw: []byte(test.args)}
			}
			made, err := New(t.Context(), args, handle{snapshot: plugin().snapshot})
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("New: %v, want %s", err, test.wantError)
				}
				return
			}
			if err != nil || made.Name() != Name {
				t.Fatalf("New = %v, %v; want the plugin %s", made, err, Name)
			}
			if _, signs := made.(fwk.SignPlugin); signs != test.wantSigns {
				t.Errorf("the plugin signs pods: %v, want %v", signs, test.wantSigns)
			}
		})
	}
}
