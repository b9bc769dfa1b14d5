package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/controller/fixture"
	"github.com/everynode/everynode/controller/model"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/memory"
)

// namespace is that of all workloads.
const namespace = "ns"

// Cluster is a simulated cluster. All of its choices come from one source of random numbers.
type Cluster struct {
	random      *rand.Rand
	clock       *fixture.Clock
	api         *memory.API
	journal     *journal
	kinds       model.Kinds
	controllers []*controller
	schedulers  []*scheduler
	running     *task // whose turn it is; nil while no engine runs

	outcomes   func(*process, *history.Request) Outcome // nil: every request is served
	webhook    bool                                     // it answers
	stale      bool                                     // lists after a start may be late
	early      bool                                     // workers of cells begin before everything was listed, as package controller does not let them
	nodes      int                                      // nodes that ever joined
	wanted     []wanted
	deadStay   bool                   // nodes that are dead in the end stay so
	denied     map[string]bool        // nodes whose pods a policy denies
	confined   map[string]bool        // nodes to whose pods a policy adds a node selector that they do not match
	tamper     func(*history.Request) // nil; a test of the checks changes what controllers send
	violations []string
}

// newCluster returns a cluster with a namespace and replicas that do not run yet.
func newCluster(seed uint64, kinds model.Kinds, controllers, schedulers int) *Cluster {
	c := &Cluster{
		random: rand.New(rand.NewPCG(seed, 1)), clock: &fixture.Clock{Time: fixture.T0}, journal: newJournal(), kinds: kinds, webhook: true, denied: map[string]bool{}, confined: map[string]bool{},
	}
	c.api = memory.New(c.clock.Now)
	c.api.Record, c.api.Mutate = c.journal.record, c.admit
	c.serve()
	for _, name := range []string{"a", "b"}[:controllers] {
		of := &controller{cluster: c, name: name, user: "system:serviceaccount:everynode-system:everynode-controller-" + name}
		c.controllers = append(c.controllers, of)
		c.journal.history.Controllers = append(c.journal.history.Controllers, of.user)
	}
	for _, name := range []string{"a", "b"}[:schedulers] {
		of := newScheduler(c, "system:serviceaccount:everynode-system:everynode-scheduler-"+name)
		c.schedulers = append(c.schedulers, of)
		c.journal.history.Schedulers = append(c.journal.history.Schedulers, of.user)
	}
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}})
	return c
}

// serve records which kinds are served.
func (c *Cluster) serve() {
	if c.kinds.Everynode {
		c.journal.history.Serves = append(c.journal.history.Serves, history.DaemonSets)
	}
	if c.kinds.Apps {
		c.journal.history.Serves = append(c.journal.history.Serves, history.NativeDaemonSets)
	}
}

// mutate is the webhook: the rewrite of the product, or the API server's answer when it cannot be called.
func (c *Cluster) mutate(object client.Object) error {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return nil
	}
	if !c.webhook {
		return fixture.ErrWebhookFails()
	}
	_, err := daemon.Rewrite(pod, v1alpha1.PlacedByWebhook)
	return err
}

// admit is mutating and validating admission of pods, by the product and by others.
func (c *Cluster) admit(object client.Object) error {
	if err := c.mutate(object); err != nil {
		return err
	}
	pod, ok := object.(*corev1.Pod)
	if _, owned := daemon.OwnedByDaemon(object); !ok || !owned {
		return nil
	}
	if account := pod.Spec.ServiceAccountName; account != "" { // there is none
		return fixture.ErrDenied(http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf("pods %q is forbidden: error looking up service account %s/%s: serviceaccount %q not found", pod.Name, pod.Namespace, account, account))
	}
	node, _ := daemon.Target(pod)
	if c.denied[node] {
		return fixture.ErrDenied(http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf("pods %q is forbidden: ValidatingAdmissionPolicy 'nodes' with binding 'nodes' denied request: not on %s", pod.Name, node))
	}
	if owner, _ := daemon.OwnedByDaemon(object); c.confined[node] && daemon.KindOf(owner) == daemon.Everynode { // another kind's pod would wait forever
		selector := map[string]string{"confined": "true"}
		maps.Copy(selector, pod.Spec.NodeSelector)
		pod.Spec.NodeSelector = selector
	}
	return nil
}

// outcome decides what happens to a request of a controller.
func (c *Cluster) outcome(p *process, request *history.Request) Outcome {
	if c.outcomes == nil {
		return Served
	}
	return c.outcomes(p, request)
}

// create creates an object as a user, whose requests are served.
func (c *Cluster) create(object client.Object) client.Object {
	made, err := c.api.Create(object)
	if err != nil {
		panic(err) // a mistake in a scenario
	}
	return made
}

// chance is true this many times in a hundred.
func (c *Cluster) chance(percent int) bool { return c.random.IntN(100) < percent }

// pick returns one of some things, of which there must be at least one.
func pick[T any](c *Cluster, from []T) T { return from[c.random.IntN(len(from))] }

// step does one of the things that controllers and schedulers can do now, and returns whether there was any.
func (c *Cluster) step() bool {
	var moves []func()
	for _, of := range c.controllers {
		if of.process != nil && !of.stopped {
			moves = of.process.moves(moves)
		}
	}
	for _, of := range c.schedulers {
		moves = of.moves(moves)
	}
	if len(moves) == 0 {
		return false
	}
	pick(c, moves)()
	return true
}

// due returns when a controller has something to do without an event, at the latest after a time.
func (c *Cluster) due(latest time.Duration) time.Duration {
	wait := latest
	for _, of := range c.controllers {
		if of.process == nil || of.stopped {
			continue
		}
		if at := of.process.due(); !at.IsZero() {
			wait = min(wait, at.Sub(c.clock.Now()))
		}
	}
	return max(wait, time.Millisecond)
}

// violated records that an invariant does not hold.
func (c *Cluster) violated(format string, args ...any) {
	c.note("VIOLATION "+format, args...)
	c.violations = append(c.violations, c.journal.notes[len(c.journal.notes)-1].text())
}

// pods returns all pods, as they are stored.
func (c *Cluster) pods() []*corev1.Pod { return listed[*corev1.Pod](c, history.Pods) }

// sets returns all DaemonSets of both kinds, as they are stored.
func (c *Cluster) sets() []client.Object {
	return append(c.api.List(history.DaemonSets), c.api.List(history.NativeDaemonSets)...)
}

func listed[T client.Object](c *Cluster, resource history.Resource) []T {
	objects := c.api.List(resource)
	typed := make([]T, len(objects))
	for i, object := range objects {
		typed[i] = object.(T)
	}
	return typed
}

func quantity(n int) resource.Quantity { return *resource.NewQuantity(int64(n), resource.DecimalSI) }

func compareKeys(a, b client.ObjectKey) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
