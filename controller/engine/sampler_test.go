package engine

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/fixture/statetest"
	"github.com/everynode/everynode/controller/placement"
	"github.com/everynode/everynode/internal/daemon"
)

func inNamespace(namespace string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Namespace = namespace }
}

// sampled returns the daemons of samples, as namespace/name.
func sampled(pods []*corev1.Pod) []string {
	var names []string
	for _, pod := range pods {
		names = append(names, pod.Namespace+"/"+pod.OwnerReferences[0].Name)
	}
	return names
}

// Samples for the probe belong to daemons whose pods pass admission.
func TestSamplesPassAdmission(t *testing.T) {
	cluster, _, _ := statetest.New()
	ours := makeDaemon("a", inNamespace(v1alpha1.SystemNamespace))
	for _, set := range []*v1alpha1.DaemonSet{ours, makeDaemon("b"), makeDaemon("c"), makeDaemon("d", deleting)} {
		cluster.See(t, set)
	}
	if got := newSampler(cluster.State).Samples(5); len(got) != 0 {
		t.Errorf("%d samples without a node, want none", len(got))
	}
	cluster.SeeNode(makeNode("n1"))
	for limit, want := range map[int][]string{0: nil, 1: {"ns/b"}, 5: {"ns/b", "ns/c"}} {
		wantStrings(t, fmt.Sprintf("samples up to %d", limit), want, sampled(newSampler(cluster.State).Samples(limit)))
	}
}

// The only daemon of a namespace has its turn, however many daemons another namespace has.
func TestSamplesOfNamespacesTakeTurns(t *testing.T) {
	cluster, _, _ := statetest.New()
	cluster.SeeNode(makeNode("n1"))
	for i := range 1000 {
		cluster.See(t, makeDaemon(fmt.Sprintf("d%03d", i), inNamespace("aaa")))
	}
	cluster.See(t, makeDaemon("x", inNamespace("mmm")))
	cluster.See(t, makeDaemon("y", inNamespace("zzz")))
	s := newSampler(cluster.State)
	wantStrings(t, "the first samples", []string{"aaa/d000", "mmm/x", "zzz/y", "aaa/d001", "aaa/d002"}, sampled(s.Samples(5)))
	wantStrings(t, "the next", []string{"mmm/x", "zzz/y", "aaa/d003", "aaa/d004", "aaa/d005"}, sampled(s.Samples(5)))
	turns := map[string]bool{}
	for range 400 {
		for _, name := range sampled(s.Samples(5)) {
			turns[name] = true
		}
	}
	if len(turns) != 1002 {
		t.Errorf("%d of 1002 daemons had a turn", len(turns))
	}
}

// The daemon with the last answer comes first, as long as it exists.
func TestSampleWithTheLastAnswerComesFirst(t *testing.T) {
	cluster, _, _ := statetest.New()
	cluster.SeeNode(makeNode("n1"))
	for _, name := range []string{"a", "b", "c", "d"} {
		cluster.See(t, makeDaemon(name))
	}
	s := newSampler(cluster.State)
	s.Answered(s.Samples(3)[2])
	wantStrings(t, "samples", []string{"ns/c", "ns/d"}, sampled(s.Samples(2)))
	wantStrings(t, "samples", []string{"ns/c", "ns/a"}, sampled(s.Samples(2)))
	cluster.ForgetDaemon(fixture.Key(makeDaemon("c")))
	wantStrings(t, "samples without it", []string{"ns/b", "ns/d"}, sampled(s.Samples(2)))
}

// Only the node and the owner of a sample may be a reason to refuse it.
func TestSampleIsPlain(t *testing.T) {
	cluster, _, _ := statetest.New()
	cluster.SeeNode(makeNode("n1"))
	cluster.See(t, makeDaemon("d", func(set *v1alpha1.DaemonSet) {
		spec := &set.Spec.Template.Spec
		spec.ServiceAccountName, spec.PriorityClassName, spec.RuntimeClassName = "none", "none", new(string)
		spec.HostNetwork = true
		daemon.Pin(spec, "elsewhere")
	}))
	pod := newSampler(cluster.State).Samples(1)[0]
	if !placement.AdmissionPlaces(pod) || pod.Spec.NodeName != "n1" || len(pod.Spec.SchedulingGates) != 1 {
		t.Errorf("the sample is not an emitted pod: %+v", pod.Spec)
	}
	if pod.Spec.ServiceAccountName+pod.Spec.PriorityClassName != "" || pod.Spec.RuntimeClassName != nil || pod.Spec.HostNetwork {
		t.Errorf("the sample is not plain: %+v", pod.Spec)
	}
}
