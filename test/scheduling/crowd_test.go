package scheduling

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	crowdNodes = 200

	// creationsVariable sets how many pods the emitters create; the full test uses 10,000.
	creationsVariable = "EVERYNODE_RACE_CREATIONS"
	fewCreations      = 2000
)

// Many nodes, and only the components that bind pods to them: there is no kubelet, and no controller that
// reacts to that.
func TestCrowd(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{
		Nodes: crowdNodes, Placement: lab.PlacementDirect,
		Without:   []string{lab.Controller, lab.ControllerManager, lab.Scheduler, lab.Kwok},
		ExtraArgs: map[string][]string{lab.EverynodeScheduler: {alone}},
	})
	// usually created by kube-controller-manager
	cluster.Make(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: "default"}})
	all := &stage{Cluster: cluster}
	t.Run("two emitters race", func(t *testing.T) { race(t, all) })
	t.Run("the scheduler is killed", func(t *testing.T) { killed(t, all) })
}

// tolerant makes a pod tolerate nodes that are not ready.
func tolerant(pod *corev1.Pod) {
	pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}

// Two independent emitters create pods of one daemon for the same nodes, and delete them
// again, bound or not. At no event of the history does a node have two bound pods.
func race(t *testing.T, all *stage) {
	s, creations := all.with(t, "race"), int64(fewCreations)
	if wanted := os.Getenv(creationsVariable); wanted != "" {
		var err error
		creations, err = strconv.ParseInt(wanted, 10, 64)
		s.Must(err)
	}
	witness := s.Watch()
	var emitters sync.WaitGroup
	var made atomic.Int64
	errs := make(chan error, 2*workers)
	for _, name := range []string{"left", "right"} {
		for worker := range workers {
			emitters.Go(func() {
				e := &emitter{stage: s, name: fmt.Sprintf("%s-%d", name, worker), random: rand.New(rand.NewPCG(uint64(worker), uint64(len(name)))), pods: map[string][]*corev1.Pod{}}
				errs <- e.run(t.Context(), &made, creations, worker)
			})
		}
	}
	emitters.Wait()
	close(errs)
	for err := range errs {
		s.Must(err)
	}
	s.oneEach(labtest.NodeNames(crowdNodes))
	bindings := s.Bound(witness)
	t.Logf("%d pods were created, %d of them were bound", creations, bindings)
	// Of several pending pods of a cell none is bound, so most pods never are.
	if want := crowdNodes + crowdNodes/4; bindings < want {
		t.Errorf("%d pods were bound, want at least %d: there was hardly a race", bindings, want)
	}
	s.Verdict(witness, int(creations))
}

// workers are the goroutines of one emitter; each has its share of the nodes.
const workers = 4

// emitter is a goroutine of one of the two emitters.
type emitter struct {
	*stage
	name   string
	random *rand.Rand
	pods   map[string][]*corev1.Pod // that it created and did not delete, by node
	dying  []*corev1.Pod            // bound or not, they exist until their finalizer is removed
}

// run creates pods up to a number of creations. For each node it leaves at least one.
func (e *emitter) run(ctx context.Context, made *atomic.Int64, creations int64, share int) error {
	for made.Add(1) <= creations {
		node := lab.NodeName(e.random.IntN(crowdNodes/workers)*workers + share)
		pod := e.daemonPod("", node, tolerant)
		pod.GenerateName = e.name + "-"
		if err := e.Create(ctx, pod); err != nil {
			return err
		}
		e.pods[node] = append(e.pods[node], pod)
		if len(e.pods[node]) > 1 {
			if err := e.remove(ctx, node); err != nil {
				return err
			}
		}
	}
	return e.reap(ctx, 0)
}

// remove deletes one of the pods of a node, every other one gracefully: it then occupies its cell for
// some time longer.
func (e *emitter) remove(ctx context.Context, node string) error {
	at := e.random.IntN(len(e.pods[node]))
	pod := e.pods[node][at]
	e.pods[node] = slices.Delete(e.pods[node], at, at+1)
	if e.random.IntN(2) == 0 {
		return e.Delete(ctx, pod, client.GracePeriodSeconds(0))
	}
	if err := e.Delete(ctx, pod, client.GracePeriodSeconds(30)); err != nil {
		return err
	}
	e.dying = append(e.dying, pod)
	return e.reap(ctx, 8)
}

// reap finishes the oldest terminating pods, as a kubelet does, except for some. One that was not bound is already gone.
func (e *emitter) reap(ctx context.Context, butFor int) error {
	for len(e.dying) > butFor {
		pod := e.dying[0]
		e.dying = e.dying[1:]
		if err := e.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// excess deletes excess pods as the daemon's controller would: all but one of the pods that block each other on a node
// without a pod.
func (s *stage) excess(ctx context.Context, pods []corev1.Pod) error {
	taken, stays := map[string]bool{}, map[string]bool{}
	for i := range pods {
		taken[pods[i].Spec.NodeName] = true
	}
	for i := range pods {
		pod := &pods[i]
		node, _ := daemon.Target(pod)
		if bound(pod) || taken[node] || terminating(pod) {
			continue
		}
		if stays[node] {
			if err := s.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
		stays[node] = true
	}
	return nil
}

// oneEach waits until the daemon has one bound pod on each of the nodes, and every other pod waits for that
// one. It also deletes excess pods, in place of the controller.
func (s *stage) oneEach(nodes []string) {
	s.T.Helper()
	s.Eventually("each node has one pod, and the others wait", func(ctx context.Context) (string, error) {
		pods, err := s.PodsOf(ctx, s.owner)
		if err != nil {
			return "", err
		}
		on := map[string]string{}
		for i := range pods {
			if pod := &pods[i]; bound(pod) {
				if other, twice := on[pod.Spec.NodeName]; twice {
					s.T.Fatalf("pods %s and %s are both bound to %s", pod.Name, other, pod.Spec.NodeName)
				}
				on[pod.Spec.NodeName] = pod.Name
			}
		}
		if err := s.excess(ctx, pods); err != nil {
			return "", err
		}
		if have, want := slices.Sorted(maps.Keys(on)), slices.Sorted(slices.Values(nodes)); !slices.Equal(have, want) {
			return fmt.Sprintf("%d of %d nodes have one", len(have), len(want)), nil
		}
		for i := range pods {
			if pod := &pods[i]; !bound(pod) && !strings.HasSuffix(message(pod), " of the same DaemonSet.") {
				return fmt.Sprintf("the message of pod %s is %q", pod.Name, message(pod)), nil
			}
		}
		return "", nil
	})
}

// A scheduler that is killed repeatedly leaves no inconsistent state: each node has its pod,
// and only one of two.
func killed(t *testing.T, all *stage) {
	s, scheduler := all.with(t, "killed"), all.Component(lab.EverynodeScheduler)
	const kills = 6
	witness := s.Watch()
	made := make(chan error)
	go func() {
		defer close(made)
		for i := range 2 * crowdNodes {
			node := lab.NodeName(i / 2)
			if err := s.Create(t.Context(), s.daemonPod(fmt.Sprintf("%s-%d", node, i%2), node, tolerant)); err != nil {
				made <- err
				return
			}
		}
	}()
	for kill := range kills {
		s.Eventually("the scheduler has bound more pods", func(ctx context.Context) (string, error) {
			pods, err := s.PodsOf(ctx, s.owner)
			placed := 0
			for i := range pods {
				if bound(&pods[i]) {
					placed++
				}
			}
			if want := (kill + 1) * crowdNodes / (kills + 2); placed < want {
				return fmt.Sprintf("%d are bound, of %d to wait for", placed, want), errors.Join(err, s.excess(ctx, pods))
			}
			return "", err
		})
		scheduler.Kill()
		s.Must(scheduler.Restart(t.Context()))
	}
	s.Must(<-made)
	s.oneEach(labtest.NodeNames(crowdNodes))
	s.Verdict(witness, 2*crowdNodes)
}
