package uniqueness

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	schedcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/everynode/everynode/internal/daemon"
)

// Uniqueness is the plugin; see the package's doc.
type Uniqueness struct{}

var (
	_ fwk.PreFilterPlugin   = (*Uniqueness)(nil)
	_ fwk.FilterPlugin      = (*Uniqueness)(nil)
	_ fwk.EnqueueExtensions = (*Uniqueness)(nil)
)

// Name of the plugin in the registry and in configurations.
const Name = "EverynodeUniqueness"

// Messages of pods that are not served; they reach the user as condition and event.
const (
	ReasonNotOwned  = "everynode-scheduler places pods of DaemonSets only: remove spec.schedulerName to have this pod placed by the default scheduler"
	ReasonNotPinned = "everynode-scheduler places pods that are pinned to one node: let admission pin the pod (set spec.nodeName and the scheduling gate everynode.dev/placement) or require matchFields metadata.name In [one node] in every node affinity term"
)

const stateKey = "PreFilter" + Name

// place is what PreFilter leaves for Filter: which place the pod wants.
type place struct{ daemon.Key }

// Clone returns the place itself: it does not depend on other pods.
func (p place) Clone() fwk.StateData { return p }

// Name of the plugin.
func (*Uniqueness) Name() string { return Name }

// PreFilter refuses pods that the plugin does not serve, and narrows the search to the one node.
func (*Uniqueness) PreFilter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	key, refusal := served(pod)
	if refusal != "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, refusal)
	}
	state.Write(stateKey, place{key})
	return &fwk.PreFilterResult{NodeNames: sets.New(key.Node)}, nil
}

// PreFilterExtensions are not needed: Filter reads the pods of the NodeInfo it is given.
func (*Uniqueness) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// served gives the place of a pod that the plugin serves, or says why it does not.
func served(pod *corev1.Pod) (key daemon.Key, refusal string) {
	if _, owned := daemon.OwnedByDaemon(pod); !owned {
		return daemon.Key{}, ReasonNotOwned
	}
	key, pinned := daemon.KeyOf(pod)
	if !pinned {
		return daemon.Key{}, ReasonNotPinned
	}
	return key, ""
}

// Filter keeps a pod from a node that holds a pod of the same daemon. Preemption is offered
// (Unschedulable) only when it could help: every twin has lower priority and none is on its way
// out already.
func (*Uniqueness) Filter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	data, err := state.Read(stateKey)
	if err != nil {
		return fwk.AsStatus(fmt.Errorf("reading %s: %w", stateKey, err))
	}
	wanted, ok := data.(place)
	if !ok {
		return fwk.AsStatus(fmt.Errorf("%s holds a %T", stateKey, data))
	}
	var preemptable *fwk.Status
	priority := schedcorev1.PodPriority(pod)
	for _, info := range node.GetPods() {
		other := info.GetPod()
		if other.UID == pod.UID || !holds(other, wanted.Key, node.Node().Name) {
			continue
		}
		switch {
		case other.DeletionTimestamp != nil:
			return fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
				fmt.Sprintf("node %s: pod %s of the same DaemonSet is terminating; waiting until it is gone", wanted.Node, other.Name))
		case schedcorev1.PodPriority(other) >= priority:
			return fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
				fmt.Sprintf("node %s already has pod %s of the same DaemonSet", wanted.Node, other.Name))
		default:
			preemptable = fwk.NewStatus(fwk.Unschedulable,
				fmt.Sprintf("node %s has pod %s of the same DaemonSet, of lower priority", wanted.Node, other.Name))
		}
	}
	return preemptable
}

// holds says whether a pod that the NodeInfo counts on a node has the wanted place. Its target
// is that node whatever its spec says: a nominated pod is counted there too.
func holds(pod *corev1.Pod, wanted daemon.Key, node string) bool {
	if node != wanted.Node || pod.Namespace != wanted.Namespace {
		return false
	}
	owner, owned := daemon.OwnedByDaemon(pod)
	return owned && owner.UID == wanted.Owner
}

// EventsToRegister are the events that may let a pod in that this plugin kept out: a pod that
// leaves its place.
func (u *Uniqueness) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{{
		Event:          fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete},
		QueueingHintFn: u.afterPodGone,
	}}, nil
}

// afterPodGone wakes a pod when another one of its place is gone. A pod that is not served stays
// asleep: what would help, an owner or a pin, makes it another pod.
func (*Uniqueness) afterPodGone(_ klog.Logger, pod *corev1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	gone, _, err := util.As[*corev1.Pod](oldObj, nil)
	if err != nil {
		return fwk.Queue, err
	}
	wanted, refusal := served(pod)
	if left, ok := daemon.KeyOf(gone); refusal == "" && ok && left == wanted {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// New makes the plugin; it takes no arguments.
func New(_ context.Context, args runtime.Object, _ fwk.Handle) (fwk.Plugin, error) {
	if args != nil {
		return nil, fmt.Errorf("plugin %s takes no arguments: remove its entry under pluginConfig (got %T)", Name, args)
	}
	return &Uniqueness{}, nil
}
