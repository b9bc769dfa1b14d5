package nodescoped

import (
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/internal/schedtest"
)

func emptyState() fwk.CycleState { return framework.NewCycleState() }

// userNamespaces is a feature that nodes declare and that random pods may need.
const userNamespaces = "UserNamespacesHostNetworkSupport"

// For random nodes and pods, a pod is admitted and refused as by upstream, with the same
// number of reasons.
func TestVerdictsAreUpstreams(t *testing.T) {
	ctx := schedtest.Quiet(t)
	seen := map[string]map[fwk.Code]int{}
	rapid.Check(t, func(rt *rapid.T) {
		args := drawArgs(rt)
		raw, err := json.Marshal(args)
		schedtest.Must(t, err)
		c := drawCluster(t, rt)
		pod, node := drawPod(rt, "p", "n1"), drawNode(rt)
		for name := range Registry() {
			var object runtime.Object
			if name == NodeResourcesFit {
				object = &runtime.Unknown{Raw: raw}
			}
			got, want := verdict(ctx, c.ours(t, name, object), pod, node), verdict(ctx, c.upstreams(t, name, args), pod, node)
			if got.Code() != want.Code() || len(reasons(got)) != len(reasons(want)) {
				rt.Fatalf("%s: %v %q, upstream %v %q", name, got.Code(), reasons(got), want.Code(), reasons(want))
			}
			if seen[name] == nil {
				seen[name] = map[fwk.Code]int{}
			}
			seen[name][want.Code()]++
		}
	})
	for name, codes := range seen {
		if len(codes) < 2 {
			t.Errorf("%s: the result was %v for every pod: the comparison is meaningless", name, codes)
		}
	}
}

var drawBool = rapid.Bool()

func drawArgs(rt *rapid.T) *FitArgs {
	return &FitArgs{
		IgnoredResources:      rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"example.com/gpu", "example.com/fpga"}), 0, 2, rapid.ID).Draw(rt, "ignored"),
		IgnoredResourceGroups: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"example.com", "licences.io"}), 0, 1, rapid.ID).Draw(rt, "ignored groups"),
	}
}

// drawCluster draws a cluster with the claims a and b, bound to volumes, and limits of the node n1.
func drawCluster(t *testing.T, rt *rapid.T) *cluster {
	var claims []*corev1.PersistentVolumeClaim
	var volumes []*corev1.PersistentVolume
	for _, name := range []string{"a", "b"} {
		claims = append(claims, st.MakePersistentVolumeClaim().Namespace("ns").Name(name).VolumeName("v-"+name).Obj())
		volumes = append(volumes, st.MakePersistentVolume().Name("v-"+name).PersistentVolumeSource(corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: name}}).Obj())
	}
	limit := rapid.Int32Range(0, 2).Draw(rt, "volumes at most")
	return newCluster(t, claims, volumes, []*storagev1.CSINode{
		st.MakeCSINode().Name("n1").Driver(storagev1.CSINodeDriver{Name: "d", NodeID: "n1", Allocatable: &storagev1.VolumeNodeResources{Count: &limit}}).Obj(),
	})
}

func drawNode(rt *rapid.T) *framework.NodeInfo {
	capacity := drawResources(rt, "capacity", 6)
	capacity[corev1.ResourcePods] = fmt.Sprint(rapid.IntRange(1, 4).Draw(rt, "pods at most"))
	node := st.MakeNode().Name("n1").Capacity(capacity).Unschedulable(rapid.IntRange(0, 3).Draw(rt, "cordon") == 0)
	if drawBool.Draw(rt, "tainted") {
		node.Taints([]corev1.Taint{{Key: "k", Effect: rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule}).Draw(rt, "effect")}})
	}
	if drawBool.Draw(rt, "labelled") {
		node.Label("zone", "a")
	}
	if drawBool.Draw(rt, "declares") {
		node.DeclaredFeatures([]string{userNamespaces})
	}
	var pods []*corev1.Pod
	for i := range rapid.IntRange(0, 4).Draw(rt, "pods") {
		pod := drawPod(rt, fmt.Sprintf("q%d", i), "n1")
		pod.Spec.NodeName = "n1"
		pods = append(pods, pod)
	}
	return nodeInfo(node.Obj(), pods...)
}

func drawPod(rt *rapid.T, name, node string) *corev1.Pod {
	pod := pinned(node).Name(name).UID("uid-" + name).Req(drawResources(rt, name, 3))
	if drawBool.Draw(rt, name+" port") {
		pod.HostPort(rapid.Int32Range(80, 81).Draw(rt, name+" port"))
	}
	if drawBool.Draw(rt, name+" claim") {
		pod.PVC(rapid.SampledFrom([]string{"a", "b", "missing"}).Filter(func(claim string) bool { return claim != "missing" || name == "p" }).Draw(rt, name+" claim"))
	}
	for _, key := range []string{"k", corev1.TaintNodeUnschedulable} {
		if drawBool.Draw(rt, name+" tolerates "+key) {
			pod.Toleration(key)
		}
	}
	if drawBool.Draw(rt, name+" selects") {
		pod.NodeSelector(map[string]string{"zone": "a"})
	}
	made := pod.Obj()
	if drawBool.Draw(rt, name+" user namespace") {
		made.Spec.HostUsers, made.Spec.HostNetwork = new(bool), true
	}
	return made
}

func drawResources(rt *rapid.T, of string, most int) map[corev1.ResourceName]string {
	resources := map[corev1.ResourceName]string{}
	for _, kind := range []struct {
		name corev1.ResourceName
		unit string
	}{{"cpu", ""}, {"memory", "Mi"}, {"ephemeral-storage", "Gi"}, {"hugepages-2Mi", "Gi"}, {"example.com/gpu", ""}, {"example.com/fpga", ""}, {"licences.io/seat", ""}} {
		if n := rapid.IntRange(0, most).Draw(rt, fmt.Sprintf("%s %s", of, kind.name)); n > 0 {
			resources[kind.name] = fmt.Sprint(n) + kind.unit
		}
	}
	return resources
}
