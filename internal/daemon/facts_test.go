package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var everyFact = Reads{Labels: []string{"zone"}, Readiness: true, Lifecycle: true, BootID: true, Allocatable: true}

// reportingNode is a node as its kubelet reports it.
func reportingNode() *corev1.Node {
	at := func(minutes int) metav1.Time { return metav1.NewTime(t0.Add(time.Duration(minutes) * time.Minute)) }
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-n1", Labels: map[string]string{"zone": "a", "rack": "7"}},
		Status: corev1.NodeStatus{
			Capacity:    corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")},
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3500m")},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, LastHeartbeatTime: at(9), Reason: "KubeletHasSufficientMemory"},
				{Type: corev1.NodeMaintenancePlanned, Status: corev1.ConditionTrue, LastTransitionTime: at(3)},
				{Type: corev1.NodeDrained, Status: corev1.ConditionFalse, LastTransitionTime: at(2)},
				{Type: corev1.NodeDrainInProgress, Status: corev1.ConditionTrue, LastTransitionTime: at(4)},
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: at(9), LastTransitionTime: at(1), Message: "kubelet is posting ready status"},
			},
			NodeInfo: corev1.NodeSystemInfo{BootID: "boot-1", KernelVersion: "6.1"},
			Images:   []corev1.ContainerImage{{Names: []string{"image:1"}}},
		},
	}
}

func TestObserveNode(t *testing.T) {
	node := reportingNode()
	name := NodeFacts{Name: "n1", UID: "uid-n1", Labels: node.Labels}
	tests := map[string]struct {
		reads  Reads
		change func(*NodeFacts)
	}{
		"nothing":   {Reads{}, func(*NodeFacts) {}},
		"labels":    {Reads{Labels: []string{"zone"}}, func(*NodeFacts) {}},
		"readiness": {Reads{Readiness: true}, func(f *NodeFacts) { f.Ready, f.ReadySince = corev1.ConditionTrue, t0.Add(time.Minute) }},
		"lifecycle": {Reads{Lifecycle: true}, func(f *NodeFacts) {
			f.Lifecycle = []LifecycleCondition{{corev1.NodeDrainInProgress, t0.Add(4 * time.Minute)}, {corev1.NodeMaintenancePlanned, t0.Add(3 * time.Minute)}}
		}},
		"boot id":     {Reads{BootID: true}, func(f *NodeFacts) { f.BootID = "boot-1" }},
		"allocatable": {Reads{Allocatable: true}, func(f *NodeFacts) { f.Allocatable = node.Status.Allocatable }},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			want := name
			test.change(&want)
			if diff := cmp.Diff(want, ObserveNode(node, test.reads)); diff != "" {
				t.Errorf("facts (-want, +got):\n%s", diff)
			}
			trimmed := &corev1.Node{ObjectMeta: node.ObjectMeta, Status: TrimNodeStatus(&node.Status, test.reads)}
			if diff := cmp.Diff(want, ObserveNode(trimmed, test.reads)); diff != "" {
				t.Errorf("facts of the trimmed node (-want, +got):\n%s", diff)
			}
		})
	}
}

// A change of a node wakes only the policies that read what changed; a heartbeat wakes none, and is not kept.
func TestNodeChanged(t *testing.T) {
	status := func(kind corev1.NodeConditionType, change func(*corev1.NodeCondition)) func(*corev1.Node) {
		return func(node *corev1.Node) {
			for i := range node.Status.Conditions {
				if condition := &node.Status.Conditions[i]; condition.Type == kind {
					change(condition)
				}
			}
		}
	}
	changes := map[string]struct {
		change func(*corev1.Node)
		wakes  Reads
	}{
		"a heartbeat": {status(corev1.NodeReady, func(c *corev1.NodeCondition) {
			c.LastHeartbeatTime, c.Message = metav1.NewTime(t0.Add(time.Hour)), "still"
		}), Reads{}},
		"pressure":                          {status(corev1.NodeMemoryPressure, func(c *corev1.NodeCondition) { c.Status = corev1.ConditionTrue }), Reads{}},
		"other images":                      {func(n *corev1.Node) { n.Status.Images = nil }, Reads{}},
		"another label":                     {func(n *corev1.Node) { n.Labels["rack"] = "8" }, Reads{}},
		"the label":                         {func(n *corev1.Node) { n.Labels["zone"] = "b" }, Reads{Labels: []string{"zone"}}},
		"no label":                          {func(n *corev1.Node) { delete(n.Labels, "zone") }, Reads{Labels: []string{"zone"}}},
		"an empty label that was not there": {func(n *corev1.Node) { n.Labels["disk"] = "" }, Reads{Labels: []string{"disk"}}},
		"not ready":                         {status(corev1.NodeReady, func(c *corev1.NodeCondition) { c.Status = corev1.ConditionUnknown }), Reads{Readiness: true}},
		"ready, since now":                  {status(corev1.NodeReady, func(c *corev1.NodeCondition) { c.LastTransitionTime = metav1.NewTime(t0.Add(time.Hour)) }), Reads{Readiness: true}},
		"drained":                           {status(corev1.NodeDrained, func(c *corev1.NodeCondition) { c.Status = corev1.ConditionTrue }), Reads{Lifecycle: true}},
		"not drained, since now":            {status(corev1.NodeDrained, func(c *corev1.NodeCondition) { c.LastTransitionTime = metav1.NewTime(t0.Add(time.Hour)) }), Reads{}},
		"rebooted":                          {func(n *corev1.Node) { n.Status.NodeInfo.BootID = "boot-2" }, Reads{BootID: true}},
		"resized": {func(n *corev1.Node) {
			n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
		}, Reads{Allocatable: true}},
		"resized to the same": {func(n *corev1.Node) {
			n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3.5")}
		}, Reads{}},
	}
	each := []Reads{{}, {Labels: []string{"zone"}}, {Labels: []string{"disk"}}, {Readiness: true}, {Lifecycle: true}, {BootID: true}, {Allocatable: true}}
	for what, test := range changes {
		t.Run(what, func(t *testing.T) {
			now := reportingNode()
			test.change(now)
			for _, reads := range each {
				if got, want := NodeChanged(reportingNode(), now, reads), cmp.Equal(reads, test.wakes) && !cmp.Equal(reads, Reads{}); got != want {
					t.Errorf("changed for who reads %+v: %t, want %t", reads, got, want)
				}
			}
			if cmp.Equal(test.wakes, Reads{}) && what != "resized to the same" && what != "not drained, since now" {
				was, is := reportingNode(), now
				if diff := cmp.Diff(TrimNodeStatus(&was.Status, everyFact), TrimNodeStatus(&is.Status, everyFact), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("it is kept (-before, +now):\n%s", diff)
				}
			}
		})
	}
	again := reportingNode()
	again.UID = "uid-again"
	if !NodeChanged(reportingNode(), again, Reads{}) {
		t.Error("a recreated node is no change")
	}
}

// Facts that no policy reads cost nothing.
func TestObserveNodeAllocatesNothingForNobody(t *testing.T) {
	node := reportingNode()
	if got := testing.AllocsPerRun(100, func() { _ = ObserveNode(node, Reads{}); _ = NodeChanged(node, node, Reads{}) }); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
