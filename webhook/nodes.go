package webhook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/clock"
)

// Nodes are the sizes of the cluster's nodes, for a warning about surges that never fit. They are listed when a warning
// needs them, so that nodes' heartbeats cost nothing. A nil one is empty.
type Nodes struct {
	client corev1client.NodeInterface
	clock  clock.PassiveClock

	// listing is held by the request that lists: others use the former sizes meanwhile.
	listing sync.Mutex
	mu      sync.Mutex
	expires time.Time
	sizes   []corev1.ResourceList
}

// Bounds of the list: how many nodes, how long it may take, and how long it is used, which also bounds how often a tenant
// causes one.
const (
	nodeSample   = 200
	nodesTimeout = time.Second
	nodesExpire  = time.Minute
)

// NewNodes returns nodes that are not listed yet.
func NewNodes(config *rest.Config) (*Nodes, error) {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reading nodes: %w", err)
	}
	return newNodes(client.CoreV1().Nodes(), clock.RealClock{}), nil
}

func newNodes(client corev1client.NodeInterface, clock clock.PassiveClock) *Nodes {
	return &Nodes{client: client, clock: clock}
}

// allocatable returns what pods may use on the nodes that the API server lists first; the former answer when they cannot be
// listed, for nothing but a warning depends on it. The list goes on if the request is given up, because others wait for its
// answer.
func (n *Nodes) allocatable(ctx context.Context) []corev1.ResourceList {
	sizes, fresh := n.known()
	if fresh || !n.listing.TryLock() {
		return sizes
	}
	defer n.listing.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nodesTimeout)
	defer cancel()
	// With resourceVersion 0 the API server would ignore the limit.
	nodes, err := n.client.List(ctx, metav1.ListOptions{Limit: nodeSample})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expires = n.clock.Now().Add(nodesExpire)
	if err == nil {
		n.sizes = sizesOf(nodes)
	}
	return n.sizes
}

func sizesOf(nodes *corev1.NodeList) []corev1.ResourceList {
	sizes := make([]corev1.ResourceList, 0, min(len(nodes.Items), nodeSample))
	for i := range nodes.Items[:cap(sizes)] {
		sizes = append(sizes, nodes.Items[i].Status.Allocatable)
	}
	return sizes
}

func (n *Nodes) known() (sizes []corev1.ResourceList, fresh bool) {
	if n == nil {
		return nil, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sizes, n.clock.Now().Before(n.expires)
}

// tooLargeTwice returns a resource of which no node has enough for two of these pods, although some node has enough for
// one, and how many nodes were compared.
func (n *Nodes) tooLargeTwice(ctx context.Context, pod *corev1.PodSpec) (name corev1.ResourceName, compared int) {
	requests := resourcehelper.PodRequests(&corev1.Pod{Spec: *pod}, resourcehelper.PodResourcesOptions{})
	if len(requests) == 0 {
		return "", 0
	}
	double := requests.DeepCopy()
	for name, request := range double {
		request.Mul(2)
		double[name] = request
	}
	sizes := n.allocatable(ctx)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		once, twice := 0, 0
		for _, size := range sizes {
			once += fits(requests[name], size[name])
			twice += fits(double[name], size[name])
		}
		if once > 0 && twice == 0 {
			return name, len(sizes)
		}
	}
	return "", 0
}

// fits returns 1 if a node has room for a request, and 0 if not.
func fits(request, room resource.Quantity) int {
	if request.Cmp(room) > 0 {
		return 0
	}
	return 1
}
