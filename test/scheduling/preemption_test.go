package scheduling

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// A resident is a pod that is on the node before the daemon's pod is created.
type resident struct {
	name string
	kind // no owner: a pod that could run elsewhere
	mutators
}

type (
	kind     int
	mutators []func(*corev1.Pod)
)

const (
	movable kind = iota
	pinned       // a pod of another daemon
	twin         // a pod of the same daemon
)

// protected pods may not be disrupted, by their budget.
func protected(pod *corev1.Pod) { metav1.SetMetaDataLabel(&pod.ObjectMeta, "protected", "true") }

// deleted pods are terminating before the daemon's pod is created.
func deleted(pod *corev1.Pod) {
	clinging(pod)
	metav1.SetMetaDataLabel(&pod.ObjectMeta, "deleted", "true")
}

func revision(hash string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		metav1.SetMetaDataLabel(&pod.ObjectMeta, appsv1.ControllerRevisionHashLabelKey, hash)
	}
}

// surge marks a pod that may run beside a twin of another revision.
func surge(pod *corev1.Pod) {
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.SurgeAnnotation, "true")
}

// trial is one combination of residents and a pod, with the expected result.
type trial struct {
	there []resident
	pod   mutators
	// evicted are the names of the expected victims; there must be no others.
	evicted []string
	// says is the pod's message while it waits; "" if it need not wait.
	says string
	// waits means that the pod is not bound even when all victims are gone.
	waits bool
}

// The node has 4 CPUs.
var trials = map[string]trial{
	"lower": {
		there: []resident{{"l", movable, mutators{priority(low), cpu("4")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"l"},
	},
	"equal": {
		there: []resident{{"e", movable, mutators{priority(high), cpu("3")}}}, pod: mutators{priority(high), cpu("2")},
		says: "insufficient cpu: needs 2000m, 1000m free; no pod of lower priority can make room.", waits: true,
	},
	"higher": {
		there: []resident{{"h", movable, mutators{priority(high), cpu("3")}}}, pod: mutators{priority(low), cpu("2")},
		says: "insufficient cpu: needs 2000m, 1000m free; no pod of lower priority can make room.", waits: true,
	},
	"lower, but not enough": {
		there: []resident{{"l", movable, mutators{priority(low), cpu("1")}}, {"e", movable, mutators{priority(middle), cpu("3")}}}, pod: mutators{priority(middle), cpu("2")},
		says: "insufficient cpu: needs 2000m, 0m free; 1 lower-priority pod does not free enough.", waits: true,
	},
	"as few as possible": {
		there: []resident{
			{"a", movable, mutators{priority(low), cpu("1")}}, {"b", movable, mutators{priority(low), cpu("1")}}, {"c", movable, mutators{priority(middle), cpu("2")}},
		},
		pod: mutators{priority(high), cpu("2")}, evicted: []string{"a", "b"},
	},
	"lower, never": {
		there: []resident{{"l", movable, mutators{priority(low), cpu("3")}}}, pod: mutators{priority(never), cpu("2")},
		says: "insufficient cpu: needs 2000m, 1000m free; preemptionPolicy Never: no pods are evicted for it.", waits: true,
	},
	"lower, terminating slowly": {
		there: []resident{{"l", movable, mutators{priority(low), cpu("3"), clinging}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"l"}, says: "insufficient cpu: needs 2000m, 1000m free; pods of lower priority are being evicted for it.",
	},

	"lower twin":                       {there: []resident{{"t", twin, mutators{priority(low)}}}, pod: mutators{priority(high)}, evicted: []string{"t"}},
	"equal twin":                       {there: []resident{{"t", twin, mutators{priority(low)}}}, pod: mutators{priority(low)}, says: "already has pod t of the same DaemonSet.", waits: true},
	"higher twin":                      {there: []resident{{"t", twin, mutators{priority(high)}}}, pod: mutators{priority(low)}, says: "already has pod t of the same DaemonSet.", waits: true},
	"lower twin, never":                {there: []resident{{"t", twin, mutators{priority(low)}}}, pod: mutators{priority(never)}, says: "has lower-priority pod t of the same DaemonSet; preemptionPolicy Never: no pods are evicted for it.", waits: true},
	"lower twin, terminating":          {there: []resident{{"t", twin, mutators{priority(low), deleted}}}, pod: mutators{priority(high)}, says: "pod t of the same DaemonSet is terminating; waiting until it is gone; pods of lower priority are being evicted for it."},
	"equal twin, terminating":          {there: []resident{{"t", twin, mutators{priority(high), deleted}}}, pod: mutators{priority(high)}, says: "pod t of the same DaemonSet is terminating; waiting until it is gone."},
	"higher twin, terminating":         {there: []resident{{"t", twin, mutators{priority(high), deleted}}}, pod: mutators{priority(low)}, says: "pod t of the same DaemonSet is terminating; waiting until it is gone."},
	"equal twin, no room":              {there: []resident{{"t", twin, mutators{priority(high)}}, {"l", movable, mutators{priority(low), cpu("4")}}}, pod: mutators{priority(high), cpu("2")}, says: "already has pod t of the same DaemonSet.", waits: true},
	"lower twin, and other room":       {there: []resident{{"t", twin, mutators{priority(middle), cpu("1")}}, {"l", movable, mutators{priority(low), cpu("2")}}}, pod: mutators{priority(high), cpu("1")}, evicted: []string{"t"}},
	"lower twin, and more room needed": {there: []resident{{"t", twin, mutators{priority(middle), cpu("2")}}, {"l", movable, mutators{priority(low), cpu("2")}}}, pod: mutators{priority(high), cpu("3")}, evicted: []string{"l", "t"}},
	"surge beside a twin":              {there: []resident{{"t", twin, mutators{priority(high), revision("1")}}}, pod: mutators{priority(high), revision("2"), surge}},
	"surge beside a lower one":         {there: []resident{{"t", twin, mutators{priority(low), revision("1")}}}, pod: mutators{priority(high), revision("2"), surge}},
	"surge of the same revision":       {there: []resident{{"t", twin, mutators{priority(high), revision("1")}}}, pod: mutators{priority(high), revision("1"), surge}, says: "already has pod t of the same DaemonSet.", waits: true},
	"not a surge, of another revision": {there: []resident{{"t", twin, mutators{priority(high), revision("1")}}}, pod: mutators{priority(high), revision("2")}, says: "already has pod t of the same DaemonSet.", waits: true},
	"surge, no room":                   {there: []resident{{"t", twin, mutators{priority(low), revision("1"), cpu("2")}}, {"l", movable, mutators{priority(low), cpu("2")}}}, pod: mutators{priority(high), revision("2"), surge, cpu("2")}, evicted: []string{"l"}},
	"surge, terminating twin":          {there: []resident{{"t", twin, mutators{priority(high), revision("1"), deleted}}}, pod: mutators{priority(high), revision("2"), surge}},
	"surge, no room but a twin":        {there: []resident{{"t", twin, mutators{priority(high), revision("1"), cpu("3")}}}, pod: mutators{priority(high), revision("2"), surge, cpu("2")}, says: "insufficient cpu: needs 2000m, 1000m free; no pod of lower priority can make room.", waits: true},

	"a budget, and another pod of higher priority": {
		there: []resident{{"p", movable, mutators{priority(low), cpu("2"), protected}}, {"m", movable, mutators{priority(middle), cpu("2")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"m"},
	},
	"a budget, and a pinned pod": {
		there: []resident{{"p", movable, mutators{priority(low), cpu("2"), protected}}, {"d", pinned, mutators{priority(low), cpu("2")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"d"},
	},
	"a budget, and no other victim": {
		there: []resident{{"p", movable, mutators{priority(low), cpu("2"), protected}}, {"e", movable, mutators{priority(high), cpu("2")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"p"},
	},
	"a budget, and another pod that does not free enough": {
		there: []resident{{"p", movable, mutators{priority(low), cpu("2"), protected}}, {"m", movable, mutators{priority(middle), cpu("2")}}}, pod: mutators{priority(high), cpu("3")},
		evicted: []string{"m", "p"},
	},
	"a budget of a lower twin": {there: []resident{{"t", twin, mutators{priority(low), protected}}}, pod: mutators{priority(high)}, evicted: []string{"t"}},
	"movable pods before pinned ones": {
		there: []resident{{"d", pinned, mutators{priority(low), cpu("2")}}, {"l", movable, mutators{priority(low), cpu("2")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"l"},
	},
	"pinned pods before those of higher priority": {
		there: []resident{{"d", pinned, mutators{priority(low), cpu("2")}}, {"m", movable, mutators{priority(middle), cpu("2")}}}, pod: mutators{priority(high), cpu("2")},
		evicted: []string{"d"},
	},
	"a port": {
		there: []resident{{"l", movable, mutators{priority(low), port}}, {"m", movable, mutators{priority(low)}}}, pod: mutators{priority(high), port},
		evicted: []string{"l"},
	},
	"anti-affinity to a pod": {
		there: []resident{{"l", movable, mutators{priority(low), lonely}}, {"m", movable, mutators{priority(low)}}}, pod: mutators{priority(high), lonely},
		evicted: []string{"l"},
	},
	"anti-affinity to a pod of higher priority": {
		there: []resident{{"h", movable, mutators{priority(high), lonely}}, {"m", movable, mutators{priority(low)}}}, pod: mutators{priority(middle), lonely},
		says: "didn't match pod anti-affinity rules; 1 lower-priority pod does not free enough.", waits: true,
	},
}

func port(pod *corev1.Pod) {
	pod.Spec.HostNetwork = true
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}}
}

// lonely pods have anti-affinity to each other.
func lonely(pod *corev1.Pod) {
	metav1.SetMetaDataLabel(&pod.ObjectMeta, "lonely", "true")
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	pod.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"lonely": "true"}},
	}}}
}

// preemption tries the combinations in parallel, each on its own node and
// in its own namespace.
func preemption(t *testing.T, all *stage) {
	for name, trial := range trials {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial.run(all.inNamespace(t, name))
		})
	}
}

// inNamespace returns the stage with a namespace for a subtest.
func (s *stage) inNamespace(t testing.TB, name string) *stage {
	t.Helper()
	sub := &stage{Cluster: s.With(t), owner: labtest.DaemonSet("daemon")}
	sub.owner.Namespace = strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")
	sub.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sub.owner.Namespace}})
	sub.Eventually("its service account exists", func(ctx context.Context) (string, error) {
		return "", sub.Get(ctx, client.ObjectKey{Namespace: sub.owner.Namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
	sub.Make(sub.owner)
	return sub
}

func (trial *trial) run(s *stage) {
	t := s.T
	node := s.node(s.owner.Namespace)
	residents := s.settle(node, trial.there)
	pod := s.daemonPod("comes", node, trial.pod...)
	s.make(pod)
	if trial.says != "" {
		waits := s.waitFor(pod, "node "+node+": "+trial.says)
		if nominated := waits.Status.NominatedNodeName; (nominated != "") != (len(trial.evicted) > 0) && nominated != node {
			t.Errorf("the pod is nominated for %q, and %v have to be evicted", nominated, trial.evicted)
		}
	}
	s.wantEvicted(residents, trial.evicted)
	if !trial.waits {
		for _, r := range residents {
			if now := s.now(r); now != nil && terminating(now) {
				s.letGo(r)
			}
		}
		s.waitUntil(pod, "bound", bound)
		s.wantEvicted(residents, trial.evicted)
	}
}

// wantEvicted waits until the given pods were evicted, and fails if others were.
func (s *stage) wantEvicted(residents []*corev1.Pod, want []string) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%v are evicted", want), func(context.Context) (string, error) {
		var evicted []string
		for _, r := range residents {
			if now := s.now(r); r.Labels["deleted"] == "" && (now == nil || terminating(now)) {
				evicted = append(evicted, r.Name)
			}
		}
		if slices.Sort(evicted); len(evicted) < len(want) {
			return fmt.Sprintf("%v are", evicted), nil
		} else if !slices.Equal(evicted, want) {
			s.T.Fatalf("%v were evicted, want %v", evicted, want)
		}
		return "", nil
	})
}

// settle binds the residents to a node.
func (s *stage) settle(node string, there []resident) []*corev1.Pod {
	s.T.Helper()
	var residents []*corev1.Pod
	other := s.besides("other")
	for _, r := range there {
		pod := bare(r.name, append(mutators{on(node)}, r.mutators...)...)
		switch r.kind {
		case pinned:
			pod = other.daemonPod(r.name, node, r.mutators...)
		case twin:
			pod = s.daemonPod(r.name, node, r.mutators...)
		}
		pod.Namespace = s.owner.Namespace
		s.make(pod)
		residents = append(residents, pod)
	}
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.owner.Namespace, Name: "none"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(100)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"protected": "true"}},
		},
	}
	s.Make(budget)
	s.Eventually("the budget is known", func(ctx context.Context) (string, error) {
		err := s.Get(ctx, client.ObjectKeyFromObject(budget), budget)
		if err == nil && budget.Status.ObservedGeneration == 0 {
			return "it is not yet", nil
		}
		return "", err
	})
	for _, pod := range residents {
		s.waitUntil(pod, "running", lab.PodReady)
		if pod.Labels["deleted"] != "" {
			s.Must(s.Delete(s.T.Context(), pod))
		}
	}
	return residents
}

// now returns the current pod, nil if it is gone.
func (s *stage) now(pod *corev1.Pod) *corev1.Pod {
	s.T.Helper()
	read := &corev1.Pod{}
	if err := s.Get(s.T.Context(), client.ObjectKeyFromObject(pod), read); err != nil {
		s.Must(client.IgnoreNotFound(err))
		return nil
	}
	return read
}

// A waiting pod with a nomination reserves its room: others of its priority neither get it nor
// preempt any pod, and one of higher priority gets it and preempts only what it needs in addition.
func nominated(t *testing.T, all *stage) {
	for name, comes := range map[string]struct {
		class, cpu string
		takes      bool
		evicted    []string // in addition to the first pod's victim
	}{
		"a pod of equal priority":                  {class: middle, cpu: "2"},
		"a pod of higher priority":                 {class: high, cpu: "2", takes: true},
		"a pod of higher priority that needs more": {class: high, cpu: "4", takes: true, evicted: []string{"m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := all.inNamespace(t, name)
			node := s.node(s.owner.Namespace)
			residents := s.settle(node, []resident{{"l", movable, mutators{priority(low), cpu("2"), clinging}}, {"m", movable, mutators{priority(middle), cpu("2")}}})
			first := s.daemonPod("first", node, priority(middle), cpu("2"))
			s.nominate(first, node)
			second := s.besides("second").daemonPod("second", node, priority(comes.class), cpu(comes.cpu))
			s.make(second)
			s.waitUntil(second, "refused", func(pod *corev1.Pod) bool { return message(pod) != "" })
			s.wantEvicted(residents, slices.Concat([]string{"l"}, comes.evicted))
			s.letGo(residents[0])
			winner, loser := first, second
			if comes.takes {
				winner, loser = second, first
			}
			s.waitUntil(winner, "bound", bound)
			words := "node " + node + ": insufficient cpu: needs 2000m, 0m free; no pod of lower priority can make room."
			s.waitUntil(loser, fmt.Sprintf("pending without a nomination, with the message %q", words), func(pod *corev1.Pod) bool {
				return !bound(pod) && pod.Status.NominatedNodeName == "" && message(pod) == prefix+words
			})
			s.wantEvicted(residents, slices.Concat([]string{"l"}, comes.evicted))
		})
	}
}

// nominate creates a pod and waits until it is nominated for a node.
func (s *stage) nominate(pod *corev1.Pod, node string) {
	s.T.Helper()
	s.make(pod)
	s.waitUntil(pod, "nominated", func(pod *corev1.Pod) bool { return pod.Status.NominatedNodeName == node })
}

// besides returns the stage with another daemon in the same namespace.
func (s *stage) besides(daemon string) *stage {
	s.T.Helper()
	other := &stage{s.Cluster, labtest.DaemonSet(daemon)}
	other.owner.Namespace = s.owner.Namespace
	s.Make(other.owner)
	return other
}

// The node is deleted while room is made on it: the pod waits for the node, and loses its nomination.
func nodeGoes(t *testing.T, all *stage) {
	s := all.inNamespace(t, "node-goes")
	node := s.node("node-goes")
	residents := s.settle(node, []resident{{"l", movable, mutators{priority(low), cpu("4"), clinging}}})
	pod := s.daemonPod("comes", node, priority(high), cpu("2"))
	s.nominate(pod, node)
	s.wantEvicted(residents, []string{"l"})
	s.Must(s.DeleteNode(t.Context(), node))
	s.letGo(residents[0])
	s.waitUntil(pod, "no longer nominated, and waiting for the node", func(pod *corev1.Pod) bool {
		return pod.Status.NominatedNodeName == "" && message(pod) == prefix+"node node-goes: does not exist; the pod is placed when it appears."
	})
	s.node(node)
	s.waitUntil(pod, "bound", bound)
}

// A volume that only one pod at a time may use is freed by preemption too.
func volumes(t *testing.T, all *stage) {
	for name, test := range map[string]struct {
		there   []resident
		claims  []string // of the daemon's pod
		evicted []string
	}{
		"one pod": {
			there:  []resident{{"l", movable, mutators{priority(low), uses("a")}}, {"m", movable, mutators{priority(low)}}},
			claims: []string{"a"}, evicted: []string{"l"},
		},
		"two pods": {
			there:  []resident{{"l", movable, mutators{priority(low), uses("a")}}, {"m", movable, mutators{priority(low), uses("b")}}},
			claims: []string{"a", "b"}, evicted: []string{"l", "m"},
		},
		"one pod with two volumes": {
			there:  []resident{{"l", movable, mutators{priority(low), uses("a", "b")}}, {"m", movable, mutators{priority(low)}}},
			claims: []string{"a", "b"}, evicted: []string{"l"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := all.inNamespace(t, "volumes of "+name)
			node := s.node(s.owner.Namespace)
			s.claim("a")
			s.claim("b")
			residents := s.settle(node, test.there)
			pod := s.daemonPod("comes", node, priority(high), uses(test.claims...))
			s.make(pod)
			s.waitUntil(pod, "bound", bound)
			s.wantEvicted(residents, test.evicted)
		})
	}
}

func uses(claims ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for _, name := range claims {
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
			}})
		}
	}
}

// claim creates a claim and its volume.
func (s *stage) claim(name string) {
	s.T.Helper()
	storage, modes := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.owner.Namespace + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: storage, AccessModes: modes,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "example.com", VolumeHandle: name}},
		},
	}
	s.Make(volume, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.owner.Namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: volume.Name, StorageClassName: new(""), AccessModes: modes,
			Resources: corev1.VolumeResourceRequirements{Requests: storage},
		},
	})
}
