package bench

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

var (
	schedulingNodes = flag.String("scheduling-nodes", "500,5000", "cluster sizes of BenchmarkSchedulingDaemon; all clusters run at the same time")
	schedulingPairs = flag.Int("scheduling-pairs", 3, "rounds of each scheduler in the benchmarks of scheduling")
)

// daemonSet returns an owner of pods; it need not be stored.
func daemonSet(namespace, name string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uuid.NewUUID()}}
}

// podsOf returns a DaemonSet's pods for the nodes, as its controller creates them.
func podsOf(set *appsv1.DaemonSet, c contender, nodes ...string) []*corev1.Pod {
	owner := metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	pods := make([]*corev1.Pod, len(nodes))
	for i, node := range nodes {
		pod := newPod(set.Namespace, set.Name+"-"+node, "100m")
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
		pod.Labels = map[string]string{"app": set.Name, appsv1.DefaultDaemonSetUniqueLabelKey: "5d4f8c7b9"}
		pod.Spec.SchedulerName = c.profile
		daemon.AddTolerations(&pod.Spec)
		daemon.Pin(&pod.Spec, node)
		pods[i] = pod
	}
	return pods
}

func newPod(namespace, name, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "example.com/daemon",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("50Mi"),
			}},
		}}},
	}
}

// boundPod returns a pod that another scheduler has bound.
func boundPod(namespace, name, cpu, node string) *corev1.Pod {
	pod := newPod(namespace, name, cpu)
	pod.Spec.NodeName = node
	return pod
}

func nodeNames(first, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = lab.NodeName(first + i)
	}
	return names
}

// slice is the number of pods that a contender gets in one turn.
const slice = 500

// result is the cost of a contender's pods.
type result struct {
	cpu  time.Duration // processor time of its process
	took time.Duration // until the last one is bound
	pods int
}

func (r result) cpuPerPod() float64   { return float64(r.cpu.Microseconds()) / float64(r.pods) }
func (r result) podsASecond() float64 { return float64(r.pods) / r.took.Seconds() }

// schedule lets a contender bind pods, and adds their cost to the result. The contender is already running,
// because the cost of a start has nothing to do with pods. It is paused while they are created, so that it gets them
// as a burst; otherwise the speed of the API server in creating pods would be measured, on the same machine.
func (s started) schedule(pods []*corev1.Pod, sum *result) {
	s.tb.Helper()
	before := s.settle()
	if err := s.Pause(); err != nil {
		s.tb.Fatal(err)
	}
	s.create(pods...)
	begun := time.Now()
	if err := s.Resume(); err != nil {
		s.tb.Fatal(err)
	}
	s.awaitPods(pods, func(pod *corev1.Pod) bool {
		// Pods of a DaemonSet have distinct nodes, so no two can be on one node.
		if node := pod.Spec.NodeName; node != "" && !strings.HasSuffix(pod.Name, "-"+node) {
			s.tb.Fatalf("pod %s is bound to %s", pod.Name, node)
		}
		return pod.Spec.NodeName != ""
	})
	sum.took += time.Since(begun)
	sum.cpu += s.settle() - before
	sum.pods += len(pods)
}

// pair has the results of both for the same pods.
type pair struct{ ours, stock result }

// duel is both contenders on one cluster. Each receives the events of the other's pods, as of
// any other scheduler, but not in its own turns.
type duel struct {
	*rig
	ours, stock started
}

func startDuel(r *rig) duel { return duel{r, r.start(ours), r.start(stock)} }

// enough is the minimum number of pods in a round, in as many DaemonSets as necessary: the result of a few hundred means little.
const enough = 2000

// warm lets both allocate their working memory, which is not part of a pod's cost.
func (d duel) warm() { d.roll(max(1, enough/d.nodes)) }

// roll lets both roll out their own DaemonSets in turns, one slice at a time, so that other load on the
// machine affects both equally.
func (d duel) roll(daemons int) pair {
	d.tb.Helper()
	var p pair
	namespaces := []string{d.namespace(), d.namespace()}
	turn := 0
	for number := range daemons {
		oursSet := daemonSet(namespaces[0], fmt.Sprintf("daemon-%d", number))
		stockSet := daemonSet(namespaces[1], oursSet.Name)
		for nodes := range slices.Chunk(nodeNames(0, d.nodes), slice) {
			turns := []func(){
				func() { d.ours.schedule(podsOf(oursSet, ours, nodes...), &p.ours) },
				func() { d.stock.schedule(podsOf(stockSet, stock, nodes...), &p.stock) },
			}
			if turn++; turn%2 == 0 {
				slices.Reverse(turns)
			}
			for _, take := range turns {
				take()
			}
		}
	}
	for _, namespace := range namespaces {
		d.clear(namespace)
	}
	d.tb.Logf("nodes=%d: ours %.0f µs/pod, %.0f pods/s; stock %.0f µs/pod, %.0f pods/s", d.nodes,
		p.ours.cpuPerPod(), p.ours.podsASecond(), p.stock.cpuPerPod(), p.stock.podsASecond())
	return p
}

func median(pairs []pair, of func(pair) float64) float64 {
	values := make([]float64, len(pairs))
	for i, p := range pairs {
		values[i] = of(p)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func report(b *testing.B, pairs []pair) {
	b.ReportMetric(0, "ns/op") // measured in turns
	b.ReportMetric(median(pairs, func(p pair) float64 { return p.ours.cpuPerPod() }), "µs-cpu/pod")
	b.ReportMetric(median(pairs, func(p pair) float64 { return p.stock.cpuPerPod() }), "stock-µs-cpu/pod")
	b.ReportMetric(median(pairs, func(p pair) float64 { return p.ours.cpuPerPod() / p.stock.cpuPerPod() }), "cpu-ratio")
	b.ReportMetric(median(pairs, func(p pair) float64 { return p.ours.podsASecond() }), "pods/s")
	b.ReportMetric(median(pairs, func(p pair) float64 { return p.ours.podsASecond() / p.stock.podsASecond() }), "throughput-ratio")
}

// BenchmarkSchedulingDaemon measures the cost of a daemon's pod in the scheduler's process, for everynode-scheduler
// and kube-scheduler with the same pods: one for each node of an otherwise empty cluster.
func BenchmarkSchedulingDaemon(b *testing.B) {
	var duels []duel
	for size := range strings.SplitSeq(*schedulingNodes, ",") {
		nodes, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		duels = append(duels, startDuel(startRig(b, nodes)))
	}
	pairs := make([][]pair, len(duels))
	for i, d := range duels {
		d.warm()
		pairs[i] = make([]pair, *schedulingPairs)
	}
	for number := range *schedulingPairs {
		for i, d := range duels {
			pairs[i][number] = d.roll(max(1, enough/d.nodes))
		}
	}
	smallest := median(pairs[0], func(p pair) float64 { return p.ours.cpuPerPod() })
	for i, d := range duels {
		b.Run(fmt.Sprintf("nodes=%d", d.nodes), func(b *testing.B) {
			report(b, pairs[i])
			b.ReportMetric(median(pairs[i], func(p pair) float64 { return p.ours.cpuPerPod() })/smallest, fmt.Sprintf("x-nodes=%d", duels[0].nodes))
		})
	}
}

// BenchmarkSchedulingAntiAffinity measures the same with 2,000 other pods that have anti-affinity
// to each other, as in Kubernetes' own scheduler_perf.
func BenchmarkSchedulingAntiAffinity(b *testing.B) {
	const nodes = 2000
	r := startRig(b, nodes)
	others := r.namespace()
	var pods []*corev1.Pod
	for _, node := range nodeNames(0, nodes) {
		pod := boundPod(others, "other-"+node, "100m", node)
		pod.Labels = map[string]string{"color": "green"}
		pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				LabelSelector: &metav1.LabelSelector{MatchLabels: pod.Labels},
				TopologyKey:   corev1.LabelHostname,
				Namespaces:    []string{"sched-0", others},
			}},
		}}
		pods = append(pods, pod)
	}
	r.create(pods...)
	d := startDuel(r)
	d.warm()
	var pairs []pair
	for range *schedulingPairs {
		pairs = append(pairs, d.roll(1))
	}
	report(b, pairs)
}

// stuckWindow is how long pods are deleted while others are stuck.
const stuckWindow = 20 * time.Second

// BenchmarkSchedulingStuck measures the cost of 1,000 daemons' pods that do not fit on their nodes, which are full of
// pods of the same priority, while 50 pods a second are deleted on other nodes: there should be no cycles, because
// no event could help them, and no writes.
func BenchmarkSchedulingStuck(b *testing.B) {
	const full, busy, deletions = 1000, 100, 50
	r := startRig(b, full+busy)
	others := r.namespace()
	var pods []*corev1.Pod
	for _, node := range nodeNames(0, full) {
		pods = append(pods, boundPod(others, "full-"+node, "4", node))
	}
	r.create(pods...)
	idle := map[contender]idling{}
	for _, c := range []contender{ours, stock} {
		idle[c] = r.stuck(c, nodeNames(0, full), nodeNames(full, busy), deletions)
		b.Logf("%s: %+v", c.component, idle[c])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(idle[ours].cycles, "cycles")
	b.ReportMetric(idle[stock].cycles, "stock-cycles")
	b.ReportMetric(idle[ours].writes, "writes")
	b.ReportMetric(idle[stock].writes, "stock-writes")
	b.ReportMetric(idle[ours].cpu.Seconds()/idle[stock].cpu.Seconds(), "cpu-ratio")
	if limit := idle[stock].cycles / 100; idle[ours].cycles > limit {
		b.Errorf("%.0f cycles, want no more than %.0f, a hundredth of the stock scheduler's", idle[ours].cycles, limit)
	}
	if idle[ours].writes > 0 {
		b.Errorf("%.0f writes, want none: no event concerns the stuck pods", idle[ours].writes)
	}
}

// idling is the cost of a contender that cannot bind any pod.
type idling struct {
	cycles, writes float64
	cpu            time.Duration
}

// stuck lets a contender try a daemon's pods on full nodes, and then measures its work while pods
// are deleted from busy ones.
func (r *rig) stuck(c contender, full, busy []string, perSecond int) idling {
	r.tb.Helper()
	doomed := r.namespace()
	pods := make([]*corev1.Pod, perSecond*int(stuckWindow.Seconds()))
	for i := range pods {
		pods[i] = boundPod(doomed, fmt.Sprintf("doomed-%d", i), "100m", busy[i%len(busy)])
	}
	r.create(pods...)
	s := r.start(c)
	defer s.stop()
	namespace := r.namespace()
	defer r.clear(namespace)
	stuck := podsOf(daemonSet(namespace, "stuck"), c, full...)
	r.create(stuck...)
	r.awaitPods(stuck, unschedulable)
	cpu := s.settle()
	cycles, writes, begun := s.cycles(), s.writes(), time.Now()
	now := int64(0)
	for i, pod := range pods {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		if err := r.client.CoreV1().Pods(doomed).Delete(r.tb.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			r.tb.Fatal(err)
		}
	}
	cpu = s.settle() - cpu
	return idling{cycles: s.cycles() - cycles, writes: s.writes() - writes, cpu: cpu}
}

func unschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable
	})
}
