package podaffinity

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	"pgregory.net/rapid"

	"github.com/everynode/everynode/internal/schedtest"
)

// In random clusters a pod is admitted and refused as by upstream, with upstream's
// reason, also with pods removed from its node or added to it.
func TestVerdictsAreUpstreams(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		c := newCluster(t, drawNodes(rt), drawPods(rt), teams...)
		// Upstream skips the filter when neither the pod nor any pod of its node has terms.
		// It then ignores nominated pods; this plugin does not.
		pod := drawPod(rt, "p", pinned("n1"), corev1.LabelHostname)
		ours, upstreams := c.cycle(t, c.ours, pod), c.cycle(t, c.upstreams, pod)
		compare := func(when string, our, their fwk.NodeInfo) {
			got, want := ours.verdict(our), upstreams.verdict(their)
			if got.Code() != want.Code() || got.Message() != want.Message() {
				rt.Fatalf("%s: %v %q, upstream %v %q (evaluated on its node: %v)", when, got.Code(), got.Message(), want.Code(), want.Message(), ours.local())
			}
			seen[fmt.Sprintf("evaluated on its node %v, %v %s", ours.local(), want.Code(), want.Message())]++
		}
		our, their := c.node(t, "n1"), c.node(t, "n1")
		compare("unchanged", our, their)
		for _, victim := range our.Snapshot().GetPods() {
			if rapid.Bool().Draw(rt, "remove") {
				ours.remove(t, our, victim)
				upstreams.remove(t, their, victim)
				compare("with pods removed", our, their)
			}
		}
		if upstreams.skipped {
			return
		}
		nominated := info(t, drawPod(rt, "nominated", pinned("n1"), topologies...))
		ours.add(t, our, nominated)
		upstreams.add(t, their, nominated)
		compare("with one nominated", our, their)
	})
	for _, outcome := range []string{
		"evaluated on its node true, Success ",
		"evaluated on its node true, Unschedulable node(s) didn't match pod anti-affinity rules",
		"evaluated on its node true, Unschedulable node(s) didn't satisfy existing pods anti-affinity rules",
		"evaluated on its node false, Unschedulable node(s) didn't satisfy existing pods anti-affinity rules",
	} {
		if seen[outcome] == 0 {
			t.Errorf("%q never occurred, only %v: the comparison is meaningless", outcome, seen)
		}
	}
}

// A pod whose terms do not concern other nodes, and that can be placed when another pod is gone or has
// other labels, is woken by that event, whichever plugin evaluated it before and does now.
func TestPodThatCanBePlacedIsWoken(t *testing.T) {
	woken := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		for range 8 { // most pods are placed at once
			wake(t, rt, woken)
		}
	})
	for _, event := range []string{"Delete, elsewhere false", "Delete, elsewhere true", "UpdatePodLabel, elsewhere false"} {
		if woken[event] == 0 {
			t.Errorf("%q never occurred, only %v", event, woken)
		}
	}
}

// wake draws a waiting pod, and deletes or changes every other pod.
func wake(t *testing.T, rt *rapid.T, woken map[string]int) {
	nodes, pods := drawNodes(rt), drawPods(rt)
	waiting := drawPod(rt, "waiting", pinned("n1"), corev1.LabelHostname)
	if placed(t, nodes, pods, waiting) {
		return
	}
	for i, before := range pods {
		rest := slices.Delete(slices.Clone(pods), i, i+1)
		changed := before.DeepCopy()
		changed.Labels["app"] = "c"
		for action, event := range map[fwk.ActionType]struct {
			after any
			pods  []*corev1.Pod
		}{fwk.Delete: {pods: rest}, fwk.UpdatePodLabel: {after: changed, pods: append(slices.Clone(rest), changed)}} {
			if !placed(t, nodes, event.pods, waiting) {
				continue
			}
			c := newCluster(t, nodes, event.pods, teams...)
			got, err := schedtest.HintOf(t, c.ours, fwk.AssignedPod, action)(klog.FromContext(schedtest.Quiet(t)), waiting, before, event.after)
			if err != nil || got != fwk.Queue {
				rt.Fatalf("%v of %s of %s: hint %v, error %v; want the pod to be queued", action, before.Name, before.Spec.NodeName, got, err)
			}
			woken[fmt.Sprintf("%v, elsewhere %v", action, before.Spec.NodeName != "n1")]++
		}
	}
}

// placed reports whether the plugin admits a pod to the node n1.
func placed(t *testing.T, nodes []*corev1.Node, pods []*corev1.Pod, waiting *corev1.Pod) bool {
	c := newCluster(t, nodes, pods, teams...)
	return c.cycle(t, c.ours, waiting).verdict(c.node(t, "n1")).IsSuccess()
}

var teams = []*corev1.Namespace{namespace("ns", "red"), namespace("other", "blue")}

var topologies = []string{corev1.LabelHostname, zone, "rack"}

// drawNodes draws nodes, whose hostnames, if any, are unique.
func drawNodes(rt *rapid.T) (nodes []*corev1.Node) {
	for _, name := range []string{"n1", "n2", "n3"} {
		node := st.MakeNode().Name(name)
		if rapid.IntRange(0, 4).Draw(rt, name+" has a hostname") > 0 {
			node.Label(corev1.LabelHostname, name)
		}
		if rapid.IntRange(0, 4).Draw(rt, name+" has a zone") > 0 {
			node.Label(zone, rapid.SampledFrom([]string{"z1", "z1", "z2"}).Draw(rt, name+" zone"))
		}
		nodes = append(nodes, node.Obj())
	}
	return nodes
}

// drawPods draws pods of all nodes. In every third cluster none of them has anti-affinity
// of another topology than the node's.
func drawPods(rt *rapid.T) (pods []*corev1.Pod) {
	allowed := topologies[:rapid.SampledFrom([]int{1, 2, 3}).Draw(rt, "topologies")]
	for i := range rapid.IntRange(0, 4).Draw(rt, "pods") {
		name := fmt.Sprintf("q%d", i)
		node := rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(rt, name+" node")
		pods = append(pods, drawPod(rt, name, pod(name).Node(node), allowed...))
	}
	return pods
}

// drawPod draws a pod's labels, namespace and terms. The pod to place sometimes has terms
// of other topologies and affinity as well.
func drawPod(rt *rapid.T, name string, p *st.PodWrapper, allowed ...string) *corev1.Pod {
	p.Name(name).UID("uid-"+name).Label("app", drawApp(rt, name)).Namespace(rapid.SampledFrom([]string{"ns", "other", "unknown"}).Draw(rt, name+" namespace"))
	if name == "p" && rapid.IntRange(0, 4).Draw(rt, "affinity") == 0 {
		p.PodAffinity(rapid.SampledFrom(topologies).Draw(rt, "affinity topology"), ofApp(drawApp(rt, "affinity")), st.PodAffinityWithRequiredReq)
	}
	if name == "p" && rapid.IntRange(0, 4).Draw(rt, "reaches") == 0 {
		allowed = topologies
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(rt, name+" terms") {
		term := corev1.PodAffinityTerm{TopologyKey: rapid.SampledFrom(allowed).Draw(rt, name+" topology"), LabelSelector: ofApp(drawApp(rt, name+" avoids"))}
		switch rapid.IntRange(0, 4).Draw(rt, name+" namespaces") {
		case 0:
			term.Namespaces = []string{"ns", "unknown"}
		case 1:
			term.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": rapid.SampledFrom([]string{"red", "blue"}).Draw(rt, name+" team")}}
		case 2:
			term.NamespaceSelector = &metav1.LabelSelector{}
		}
		withTerm(p, term)
	}
	return p.Obj()
}

func drawApp(rt *rapid.T, of string) string {
	return rapid.SampledFrom([]string{"a", "b"}).Draw(rt, of+" app")
}
