package uniqueness

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/internal/schedtest"
)

// plugin returns one that knows the nodes n1 and n2.
func plugin() *Uniqueness {
	return &Uniqueness{
		snapshot: internalcache.NewSnapshot(nil, []*corev1.Node{st.MakeNode().Name("n1").Obj(), st.MakeNode().Name("n2").Obj()}),
		twins:    &twins{cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{waitingIndex: indexWaiting, placedIndex: indexPlaced})},
	}
}

func TestPreFilter(t *testing.T) {
	zone := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}
	zoned := func(term corev1.NodeSelectorTerm) corev1.NodeSelectorTerm {
		term.MatchExpressions = []corev1.NodeSelectorRequirement{zone}
		return term
	}
	served := daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n1"}
	replicaSet, noController := schedtest.OwnerRef(schedtest.Native, "uid-d"), schedtest.OwnerRef(schedtest.Native, "uid-d")
	replicaSet.Kind, noController.Controller = "ReplicaSet", nil

	tests := map[string]struct {
		pod        *corev1.Pod
		wantPlace  daemon.CellKey
		wantStatus *fwk.Status
	}{
		"owned by everynode.dev":     {pod: schedtest.MakePod("p").Obj(), wantPlace: served},
		"owned by apps":              {pod: schedtest.MakePod("p").Owner(schedtest.OwnerRef(schedtest.Native, "uid-d")).Obj(), wantPlace: served},
		"several agreeing pins":      {pod: schedtest.MakePod("p").Affinity(schedtest.Required(zoned(schedtest.Pinned("n1")), schedtest.Pinned("n1"))).Obj(), wantPlace: served},
		"a pin beside an empty term": {pod: schedtest.MakePod("p").Affinity(schedtest.Required(corev1.NodeSelectorTerm{}, schedtest.Pinned("n1"))).Obj(), wantPlace: served},
		"another node":               {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n2"))).Obj(), wantPlace: daemon.CellKey{Namespace: "ns", Owner: "uid-d", Node: "n2"}},
		"another namespace":          {pod: schedtest.MakePod("p").In("other").Obj(), wantPlace: daemon.CellKey{Namespace: "other", Owner: "uid-d", Node: "n1"}},
		"beside another owner":       {pod: schedtest.MakePod("p").Owner(noController, schedtest.OwnerRef(schedtest.Ours, "uid-e")).Obj(), wantPlace: daemon.CellKey{Namespace: "ns", Owner: "uid-e", Node: "n1"}},

		"no owner":                      {pod: schedtest.MakePod("p").Owner().Obj(), wantStatus: refused(ReasonNotOwned)},
		"of a ReplicaSet":               {pod: schedtest.MakePod("p").Owner(replicaSet).Obj(), wantStatus: refused(ReasonNotOwned)},
		"owner, not controller":         {pod: schedtest.MakePod("p").Owner(noController).Obj(), wantStatus: refused(ReasonNotOwned)},
		"another group's":               {pod: schedtest.MakePod("p").Owner(schedtest.OwnerRef("apps.kruise.io/v1alpha1", "uid-d")).Obj(), wantStatus: refused(ReasonNotOwned)},
		"neither owned nor pinned":      {pod: schedtest.MakePod("p").Owner().Affinity(nil).Obj(), wantStatus: refused(ReasonNotOwned)},
		"of a node that does not exist": {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n3"))).Obj(), wantStatus: refused(ReasonNoNode)},
		"not pinned":                    {pod: schedtest.MakePod("p").Affinity(nil).Obj(), wantStatus: refused(ReasonNotPinned)},
		"a term without a pin":          {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n1"), zoned(corev1.NodeSelectorTerm{}))).Obj(), wantStatus: refused(ReasonNotPinned)},
		"pins that differ":              {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n1"), schedtest.Pinned("n2"))).Obj(), wantStatus: refused(ReasonNotPinned)},
		"pinned to one of two":          {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n1", "n2"))).Obj(), wantStatus: refused(ReasonNotPinned)},
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
					t.Errorf("result %v and state %v after a refusal, want neither", gotResult, data)
				}
				return
			}
			if diff := cmp.Diff(&fwk.PreFilterResult{NodeNames: sets.New(test.wantPlace.Node)}, gotResult); diff != "" {
				t.Errorf("result (-want, +got):\n%s", diff)
			}
			if diff := cmp.Diff(fwk.StateData(place{CellKey: test.wantPlace}), data); err != nil || diff != "" {
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
	replicaSet := schedtest.OwnerRef(schedtest.Native, "uid-d")
	replicaSet.Kind = "ReplicaSet"

	tests := map[string]struct {
		pod  *corev1.Pod // defaults to schedtest.MakePod("p")
		node string      // defaults to n1
		pods []*schedtest.Pod
		want *fwk.Status // nil: the pod is admitted
	}{
		"an empty node":                             {},
		"twin of equal priority":                    {pods: []*schedtest.Pod{schedtest.Twin("t")}, want: already("t")},
		"twin of higher priority":                   {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(101)}, want: already("t")},
		"twin of lower priority":                    {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99)}, want: lower("t")},
		"no priority counts as 0":                   {pod: schedtest.MakePod("p").Priority(0).Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").NoPriority()}, want: already("t")},
		"below no priority":                         {pod: schedtest.MakePod("p").Priority(-1).Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").NoPriority()}, want: already("t")},
		"above no priority":                         {pod: schedtest.MakePod("p").Priority(1).Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").NoPriority()}, want: lower("t")},
		"a nominated twin":                          {pods: []*schedtest.Pod{schedtest.MakePod("t")}, want: already("t")},
		"a nominated, lower twin":                   {pods: []*schedtest.Pod{schedtest.MakePod("t").Priority(99)}, want: lower("t")},
		"a twin whose owner's API version is later": {pods: []*schedtest.Pod{schedtest.Twin("t").Owner(schedtest.OwnerRef("everynode.dev/v1", "uid-d"))}, want: already("t")},

		"terminating, equal priority":  {pods: []*schedtest.Pod{schedtest.Twin("t").Terminating()}, want: leaving("t")},
		"terminating, higher priority": {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(101).Terminating()}, want: leaving("t")},
		"terminating, lower priority":  {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99).Terminating()}, want: victim("t")}, // it may be this pod's own victim

		"several twins, all lower":            {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(98), schedtest.Twin("u").Priority(99)}, want: lower("t")},
		"several twins, the first equal":      {pods: []*schedtest.Pod{schedtest.Twin("t"), schedtest.Twin("u").Priority(99)}, want: already("t")},
		"several twins, the last equal":       {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99), schedtest.Twin("u")}, want: already("u")},
		"several twins, the last terminating": {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99), schedtest.Twin("u").Priority(99).Terminating()}, want: lower("t")},
		"several twins, the last finished":    {pods: []*schedtest.Pod{schedtest.Twin("t").Priority(99).Terminating(), schedtest.Twin("u").Terminating()}, want: leaving("u")},
		"a twin among other pods":             {pods: []*schedtest.Pod{schedtest.Twin("s").Owner(), schedtest.Twin("t"), schedtest.Twin("u").In("other")}, want: already("t")},

		"a surge beside the old revision":  {pod: schedtest.MakePod("p").Revision("r2").Surge().Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r1")}},
		"a surge beside a higher old one":  {pod: schedtest.MakePod("p").Revision("r2").Surge().Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r1").Priority(101)}},
		"a surge beside a terminating one": {pod: schedtest.MakePod("p").Revision("r2").Surge().Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r1").Terminating()}},
		"a surge beside its own revision":  {pod: schedtest.MakePod("p").Revision("r2").Surge().Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r2")}, want: already("t")},
		"a surge beside two":               {pod: schedtest.MakePod("p").Revision("r3").Surge().Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r1"), schedtest.Twin("u").Revision("r2")}, want: already("t")},
		"another revision, no surge":       {pod: schedtest.MakePod("p").Revision("r2").Obj(), pods: []*schedtest.Pod{schedtest.Twin("t").Revision("r1").Surge()}, want: already("t")},

		"another namespace's":        {pods: []*schedtest.Pod{schedtest.Twin("t").In("other")}},
		"another daemon's":           {pods: []*schedtest.Pod{schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e"))}},
		"a ReplicaSet's":             {pods: []*schedtest.Pod{schedtest.Twin("t").Owner(replicaSet)}},
		"without an owner":           {pods: []*schedtest.Pod{schedtest.Twin("t").Owner()}},
		"itself":                     {pods: []*schedtest.Pod{schedtest.Twin("p")}},
		"itself and a twin":          {pods: []*schedtest.Pod{schedtest.Twin("p"), schedtest.Twin("t")}, want: already("t")},
		"an earlier pod of its name": {pods: []*schedtest.Pod{schedtest.Twin("p").WithUID("earlier")}, want: already("p")},

		// The scheduler's informer drops finished pods. If a NodeInfo shows one nevertheless,
		// it occupies its cell like any object (S1); its deletion wakes the pod.
		"a finished twin that is still shown": {pods: []*schedtest.Pod{schedtest.Twin("t").Phase(corev1.PodSucceeded)}, want: already("t")},

		// The cell is on n1: pods of other nodes do not matter. NodeAffinity
		// refuses the other node.
		"the daemon's pod on another node": {node: "n2", pods: []*schedtest.Pod{schedtest.Twin("t").On("n2")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wanting, node := test.pod, test.node
			if wanting == nil {
				wanting = schedtest.MakePod("p").Obj()
			}
			if node == "" {
				node = "n1"
			}
			info := framework.NewNodeInfo()
			info.SetNode(st.MakeNode().Name(node).Obj())
			for _, p := range test.pods {
				info.AddPod(p.Obj())
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

// strange is a state that is not a place.
type strange struct{}

func (strange) Clone() fwk.StateData { return strange{} }

// A state that PreFilter did not write is an error, never an admission.
func TestFilterWithoutState(t *testing.T) {
	foreign := framework.NewCycleState()
	foreign.Write(stateKey, strange{})
	for name, state := range map[string]fwk.CycleState{"none": framework.NewCycleState(), "another's": foreign} {
		t.Run(name, func(t *testing.T) {
			info := framework.NewNodeInfo()
			info.SetNode(st.MakeNode().Name("n1").Obj())
			if status := (&Uniqueness{}).Filter(t.Context(), state, schedtest.MakePod("p").Obj(), info); status.Code() != fwk.Error {
				t.Errorf("Filter: %v, want an error", status)
			}
		})
	}
}

func TestQueueingHint(t *testing.T) {
	tests := map[string]struct {
		pod     *corev1.Pod // defaults to schedtest.MakePod("p")
		gone    any
		want    fwk.QueueingHint
		wantErr bool
	}{
		"its twin":                         {gone: schedtest.Twin("t").Obj(), want: fwk.Queue},
		"a terminating twin":               {gone: schedtest.Twin("t").Terminating().Obj(), want: fwk.Queue},
		"a twin of higher priority":        {gone: schedtest.Twin("t").Priority(101).Obj(), want: fwk.Queue},
		"a finished twin":                  {gone: schedtest.Twin("t").Phase(corev1.PodFailed).Obj(), want: fwk.Queue},
		"a nominated twin":                 {gone: schedtest.MakePod("t").Obj(), want: fwk.Queue},
		"its twin, in a tombstone":         {gone: cache.DeletedFinalStateUnknown{Key: "ns/t", Obj: schedtest.Twin("t").Obj()}, want: fwk.Queue},
		"another daemon's, in a tombstone": {gone: cache.DeletedFinalStateUnknown{Key: "ns/t", Obj: schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e")).Obj()}, want: fwk.QueueSkip},
		"another daemon's":                 {gone: schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e")).Obj(), want: fwk.QueueSkip},
		"without an owner":                 {gone: schedtest.Twin("t").Owner().Obj(), want: fwk.QueueSkip},
		"another namespace's":              {gone: schedtest.Twin("t").In("other").Obj(), want: fwk.QueueSkip},
		"another node's":                   {gone: schedtest.Twin("t").On("n2").Obj(), want: fwk.QueueSkip},
		"a pod that is not served":         {pod: schedtest.MakePod("p").Owner().Obj(), gone: schedtest.Twin("t").Owner().Obj(), want: fwk.QueueSkip},
		"a pod that is not pinned":         {pod: schedtest.MakePod("p").Affinity(nil).Obj(), gone: schedtest.Twin("t").Obj(), want: fwk.QueueSkip},
		"pods without cells":               {pod: schedtest.MakePod("p").Affinity(nil).Obj(), gone: schedtest.MakePod("t").Affinity(nil).Obj(), want: fwk.QueueSkip},
		"not a pod":                        {gone: st.MakeNode().Name("n1").Obj(), want: fwk.Queue, wantErr: true},
		"not a pod, in a tombstone":        {gone: cache.DeletedFinalStateUnknown{Key: "n1", Obj: st.MakeNode().Name("n1").Obj()}, want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, _ := ktesting.NewTestContext(t)
			waiting := test.pod
			if waiting == nil {
				waiting = schedtest.MakePod("p").Obj()
			}
			got, err := schedtest.HintOf(t, plugin(), fwk.AssignedPod, fwk.Delete)(logger, waiting, test.gone, nil)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// A pod's cell depends on its owner: it becomes free when a twin is released, and wanted when
// the pod itself is adopted.
func TestQueueingHintOfUpdates(t *testing.T) {
	released := schedtest.Twin("t").Owner().Obj()
	tests := map[string]struct {
		resource fwk.EventResource
		before   any
		after    any
		want     fwk.QueueingHint
		wantErr  bool
	}{
		"its twin is released":                {resource: fwk.AssignedPod, before: schedtest.Twin("t").Obj(), after: released, want: fwk.Queue},
		"another daemon adopts its twin":      {resource: fwk.AssignedPod, before: schedtest.Twin("t").Obj(), after: schedtest.Twin("t").Owner(schedtest.OwnerRef(schedtest.Ours, "uid-e")).Obj(), want: fwk.Queue},
		"its twin changes":                    {resource: fwk.AssignedPod, before: schedtest.Twin("t").Obj(), after: schedtest.Twin("t").Priority(7).Obj(), want: fwk.QueueSkip},
		"a twin is adopted":                   {resource: fwk.AssignedPod, before: released, after: schedtest.Twin("t").Obj(), want: fwk.QueueSkip},
		"another node's is released":          {resource: fwk.AssignedPod, before: schedtest.Twin("t").On("n2").Obj(), after: schedtest.Twin("t").On("n2").Owner().Obj(), want: fwk.QueueSkip},
		"an object that is not a pod changes": {resource: fwk.AssignedPod, before: st.MakeNode().Obj(), after: released, want: fwk.Queue, wantErr: true},
		"it is adopted":                       {resource: fwk.TargetPod, before: schedtest.MakePod("p").Owner().Obj(), after: schedtest.MakePod("p").Obj(), want: fwk.Queue},
		"it changes, and was served before":   {resource: fwk.TargetPod, before: schedtest.MakePod("p").Obj(), after: schedtest.MakePod("p").Priority(7).Obj(), want: fwk.QueueSkip},
		"it changes, and is still not served": {resource: fwk.TargetPod, before: schedtest.MakePod("p").Owner().Obj(), after: schedtest.MakePod("p").Owner().Priority(7).Obj(), want: fwk.QueueSkip},
		"it is released":                      {resource: fwk.TargetPod, before: schedtest.MakePod("p").Obj(), after: schedtest.MakePod("p").Owner().Obj(), want: fwk.QueueSkip},
		"the pod itself is not a pod":         {resource: fwk.TargetPod, before: st.MakeNode().Obj(), after: released, want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, _ := ktesting.NewTestContext(t)
			got, err := schedtest.HintOf(t, plugin(), test.resource, fwk.Update)(logger, schedtest.MakePod("p").Obj(), test.before, test.after)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// A pod may be created before the scheduler sees its node.
func TestQueueingHintOfNodes(t *testing.T) {
	tests := map[string]struct {
		pod     *schedtest.Pod
		added   any
		want    fwk.QueueingHint
		wantErr bool
	}{
		"its node":                             {pod: schedtest.MakePod("p"), added: st.MakeNode().Name("n1").Obj(), want: fwk.Queue},
		"another node":                         {pod: schedtest.MakePod("p"), added: st.MakeNode().Name("n2").Obj(), want: fwk.QueueSkip},
		"a node, for a pod that is not pinned": {pod: schedtest.MakePod("p").Affinity(nil), added: st.MakeNode().Name("n1").Obj(), want: fwk.QueueSkip},
		"not a node":                           {pod: schedtest.MakePod("p"), added: schedtest.MakePod("q").Obj(), want: fwk.Queue, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logger, _ := ktesting.NewTestContext(t)
			got, err := schedtest.HintOf(t, plugin(), fwk.Node, fwk.Add)(logger, test.pod.Obj(), nil, test.added)
			if got != test.want || (err != nil) != test.wantErr {
				t.Errorf("hint %v, error %v; want %v, error %v", got, err, test.want, test.wantErr)
			}
		})
	}
}

// In a profile of all pods the plugin enforces S1 for daemons' pods, and does not affect other pods
// or batching.
func TestShared(t *testing.T) {
	tests := map[string]struct {
		pod     *schedtest.Pod
		ignored bool
	}{
		"a daemon's":                      {pod: schedtest.MakePod("p")},
		"without an owner":                {pod: schedtest.MakePod("p").Owner(), ignored: true},
		"a daemon's without a node":       {pod: schedtest.MakePod("p").Affinity(nil), ignored: true},
		"a daemon's for one of two nodes": {pod: schedtest.MakePod("p").Affinity(schedtest.Required(schedtest.Pinned("n1", "n2"))), ignored: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all, state := &shared{plugin()}, framework.NewCycleState()
			_, status := all.PreFilter(t.Context(), state, test.pod.Obj(), nil)
			if status.IsSkip() != test.ignored || status.IsRejected() {
				t.Errorf("PreFilter %v, want it skipped: %v", status, test.ignored)
			}
			fragments, status := all.SignPod(t.Context(), test.pod.Obj())
			if fragments != nil || status.IsSuccess() != test.ignored || status.IsError() {
				t.Errorf("SignPod %v, %v; want it signed: %v", fragments, status, test.ignored)
			}
			if test.ignored {
				return
			}
			node := framework.NewNodeInfo(schedtest.Twin("t").Obj())
			node.SetNode(st.MakeNode().Name("n1").Obj())
			if status := all.Filter(t.Context(), state, test.pod.Obj(), node); !status.IsRejected() {
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

func (handle) SharedInformerFactory() informers.SharedInformerFactory {
	return informers.NewSharedInformerFactory(fake.NewClientset(), 0)
}

func (handle) Activate(klog.Logger, map[string]*corev1.Pod) {}

func TestNew(t *testing.T) {
	tests := map[string]struct {
		args      string
		wantSigns bool
		wantError string
	}{
		"no args":             {},
		"to refuse":           {args: "{otherPods: Refuse}"},
		"to ignore":           {args: "{otherPods: Ignore}", wantSigns: true},
		"another value":       {args: "{otherPods: Allow}", wantError: `plugin EverynodeUniqueness: otherPods: "Allow" is neither Refuse nor Ignore: correct its args under pluginConfig`},
		"a misspelt argument": {args: "{otherPod: Ignore}", wantError: `unknown field "otherPod"`},
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
