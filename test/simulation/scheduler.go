package simulation

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
)

// scheduler is a replica of everynode-scheduler: it decides about pods by what its informers have delivered, and binds later.
// It has the product's rule of uniqueness and of placement, and no priorities and preemption.
type scheduler struct {
	cluster     *Cluster
	user        string
	pods, nodes view
	decided     map[types.UID]binding
	tried       map[types.UID]bool // pods whose binding was tried, until an event of them
	feasible    []binding          // nil after a change of what is known
	frozen      bool
}

// binding is the scheduler's decision about a pod.
type binding struct {
	pod  client.ObjectKey
	uid  types.UID
	node string
}

func newScheduler(c *Cluster, user string) *scheduler {
	return &scheduler{
		cluster: c, user: user, decided: map[types.UID]binding{}, tried: map[types.UID]bool{},
		pods: newView(c.api, history.Pods), nodes: newView(c.api, history.Nodes),
	}
}

// moves appends what the scheduler can do next.
func (s *scheduler) moves(moves []func()) []func() {
	for _, of := range []*view{&s.pods, &s.nodes} {
		if of.pending() && !s.frozen {
			moves = append(moves, func() { s.observe(of) })
		}
	}
	if s.feasible == nil {
		s.feasible = s.decidable()
	}
	if len(s.feasible) > 0 {
		moves = append(moves, s.decide)
	}
	if len(s.decided) > 0 {
		moves = append(moves, s.bind)
	}
	return moves
}

// observe lists, or reads the next change.
func (s *scheduler) observe(of *view) {
	if of.cursor == nil {
		of.list(s.cluster.api.Revision())
	} else {
		for _, event := range of.next() {
			delete(s.tried, event.object.GetUID())
		}
	}
	s.feasible = nil
}

// decidable returns the decisions that are possible by what is known.
func (s *scheduler) decidable() []binding {
	possible, pods := []binding{}, all[*corev1.Pod](&s.pods)
	for _, pod := range pods {
		node, ok := s.place(pod, pods)
		if _, done := s.decided[pod.UID]; ok && !done && !s.tried[pod.UID] {
			possible = append(possible, binding{client.ObjectKeyFromObject(pod), pod.UID, node})
		}
	}
	return possible
}

// place returns the node of a pod that waits, if it may be bound now.
func (s *scheduler) place(pod *corev1.Pod, pods []*corev1.Pod) (string, bool) {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || pod.Spec.SchedulerName != v1alpha1.SchedulerName || len(pod.Spec.SchedulingGates) > 0 || tooLarge(pod) {
		return "", false
	}
	cell, served := daemon.CellOf(pod)
	node, known := s.nodes.objects[client.ObjectKey{Name: cell.Node}].(*corev1.Node)
	if !served || !known {
		return "", false
	}
	if _, excluded := daemon.Excludes(pod, node); excluded {
		return "", false
	}
	return node.Name, unique(pod, cell, pods)
}

// tooLarge reports whether a pod requests more CPUs than any node has. That is all that the scheduler knows of resources.
func tooLarge(pod *corev1.Pod) bool {
	const most = 100
	return slices.ContainsFunc(pod.Spec.Containers, func(container corev1.Container) bool { return container.Resources.Requests.Cpu().Value() > most })
}

// unique is the rule of the plugin EverynodeUniqueness: no other pod of the cell is bound or waits to be, except one of another
// revision when the pod was created to surge. The scheduler's informer has no finished pods.
func unique(pod *corev1.Pod, cell daemon.CellKey, pods []*corev1.Pod) bool {
	var twins []*corev1.Pod
	for _, other := range pods {
		if at, ok := daemon.CellOf(other); !ok || at != cell || other.UID == pod.UID || finished(other) {
			continue
		}
		if other.Spec.NodeName != "" || other.DeletionTimestamp == nil {
			twins = append(twins, other)
		}
	}
	return len(twins) == 0 || len(twins) == 1 && daemon.MayJoin(pod, twins[0])
}

func (s *scheduler) decide() {
	chosen := pick(s.cluster, s.feasible)
	s.decided[chosen.uid] = chosen
	s.feasible = nil
}

// bind binds one of the pods that were decided about. An event follows, also if the binding is refused: the pod has changed.
func (s *scheduler) bind() {
	uid := pick(s.cluster, slices.Sorted(maps.Keys(s.decided)))
	decision := s.decided[uid]
	if err := s.cluster.api.Bind(s.user, decision.pod, uid, decision.node); err != nil {
		s.cluster.note("pod %s is not bound: %v", decision.pod.Name, err)
	}
	delete(s.decided, uid)
	s.tried[uid] = true
	s.feasible = nil
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}
