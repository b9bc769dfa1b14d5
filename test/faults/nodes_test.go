package faults

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
	"github.com/everynode/everynode/test/race"
)

// F10: nodes are deleted and created again under their names, at once or after a while.
func TestF10NodeRecreated(t *testing.T) {
	var recreated map[types.UID]bool
	fault{inflict: func(r *run) {
		recreated = map[types.UID]bool{}
		r.during("nodes are recreated", func() {
			r.rollAll()
			for i := range 3 {
				name := r.aNode()
				r.Must(r.DeleteNode(r.T.Context(), name))
				if i > 0 {
					r.pause(0, 2*time.Second)
				}
				again, err := r.AddNode(r.T.Context(), name)
				r.Must(err)
				recreated[again.UID] = true
				r.churn(3)
			}
		})
		r.Must(r.WaitForNodes(r.T.Context()))
	}, judge: func(r *run, h *history.History) {
		served := map[types.UID]bool{}
		for i := range h.Records {
			if change := h.Records[i].Change; change != nil && change.Resource == history.Pods {
				served[types.UID(change.Object.GetAnnotations()[v1alpha1.NodeUIDAnnotation])] = true
			}
		}
		for uid := range recreated {
			if served[uid] {
				return
			}
		}
		r.T.Fatal("the fault did not happen: no pod is for a recreated node")
	}}.test(t)
}

// F10: taints come and go, faster than pods start and end.
func TestF10TaintsFlap(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}
		r.during("taints flap", func() {
			r.rollAll()
			for range 12 {
				node, taint := r.aNode(), corev1.Taint{Key: "faults.example.com/flap", Effect: effects[r.rng.IntN(2)]}
				r.Must(r.TaintNode(r.T.Context(), node, taint))
				r.pause(20*time.Millisecond, 600*time.Millisecond)
				r.churn(1)
				r.Must(r.UntaintNode(r.T.Context(), node, taint))
			}
		})
	}}.test(t)
}

// F10: all nodes are NotReady. That alone deletes no pod of a daemon, and creates none.
func TestF10AllNodesNotReady(t *testing.T) { allNotReady(30*time.Second, false).test(t) }

// F10: for ten minutes, which is longer than any toleration or grace period that Kubernetes sets by default.
func TestF10AllNodesNotReadyForTenMinutes(t *testing.T) { allNotReady(10*time.Minute, true).test(t) }

func allNotReady(lasts time.Duration, slow bool) fault {
	return fault{long: true, slow: slow, inflict: func(r *run) {
		r.during("all nodes are NotReady", func() {
			r.setNotReady(true)
			time.Sleep(lasts)
			r.setNotReady(false)
		})
		r.Must(r.WaitForNodes(r.T.Context()))
	}, judge: func(r *run, h *history.History) {
		r.happened("all nodes were NotReady", longestNotReady(h, nodes) >= lasts)
		disturbed := false
		for i := range h.Records {
			record := &h.Records[i]
			if record.Mark != nil && (record.Mark.Kind == history.FaultBegins || record.Mark.Kind == history.FaultEnds) {
				disturbed = record.Mark.Kind == history.FaultBegins
			}
			if disturbed && record.Change != nil && record.Change.Resource == history.Pods && record.Change.Type != watch.Modified {
				r.T.Errorf("pod %s was %s because its node was NotReady", record.Change.Object.GetName(), record.Change.Type)
			}
		}
	}}
}

func (r *run) setNotReady(notReady bool) {
	r.T.Helper()
	var all sync.WaitGroup
	errs := make([]error, nodes)
	for i := range nodes {
		all.Go(func() { errs[i] = r.SetNotReady(r.T.Context(), lab.NodeName(i), notReady) })
	}
	all.Wait()
	for _, err := range errs {
		r.Must(err)
	}
}

// longestNotReady returns for how long n nodes were NotReady at the same time.
func longestNotReady(h *history.History, n int) time.Duration {
	notReady := map[string]bool{}
	var since time.Time
	longest := time.Duration(0)
	for i := range h.Records {
		if len(notReady) >= n {
			longest = max(longest, h.Records[i].At.Sub(since))
		}
		change := h.Records[i].Change
		if change == nil || change.Resource != history.Nodes {
			continue
		}
		node := change.Object.(*corev1.Node)
		before := len(notReady)
		delete(notReady, node.Name)
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				notReady[node.Name] = true
			}
		}
		if before < n && len(notReady) >= n {
			since = h.Records[i].At
		}
	}
	return longest
}

// F16: 1,000 nodes join at the same time.
func TestF16ThousandNodesJoin(t *testing.T) {
	const join = 1000
	fault{long: true, slow: true, idle: true, lab: &lab.Options{ExtraArgs: map[string][]string{
		// As a lab of that size has: kwok renews the leases of 1,000 nodes.
		lab.Kwok:              {"--node-lease-duration-seconds=80"},
		lab.ControllerManager: {"--node-monitor-grace-period=120s"},
	}}, inflict: func(r *run) {
		for _, kind := range bothKinds {
			r.addToFleet(kind, labtest.DaemonSet(r.nameOf("joined", kind), onIncluded, surging))
		}
		r.Cluster = r.Within(race.Limit(10 * time.Minute))
		begun := time.Now()
		r.during("1,000 nodes join", func() { r.join(join) })
		joined := time.Since(begun)
		r.Eventually("every node has its pods", func(ctx context.Context) (string, error) {
			for _, w := range r.fleet {
				if err := r.ReadWorkload(ctx, w); err != nil || w.Status.NumberAvailable != join {
					return fmt.Sprintf("%s has %d", w.Name, w.Status.NumberAvailable), err
				}
			}
			return "", nil
		})
		r.T.Logf("%d nodes joined in %s; %d pods ran after %s", join, joined.Round(time.Millisecond), join*len(r.fleet), time.Since(begun).Round(time.Millisecond))
	}}.test(t)
}

// join creates nodes, 32 at a time.
func (r *run) join(n int) {
	r.T.Helper()
	var all sync.WaitGroup
	errs, numbers := make([]error, n), make(chan int)
	for range 32 {
		all.Go(func() {
			for i := range numbers {
				_, errs[i] = r.AddNode(r.T.Context(), lab.NodeName(i))
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
	for _, err := range errs {
		r.Must(err)
	}
}

// F18: Everynode starts in a cluster in which nothing else runs yet. No node is Ready before the network's daemon runs on it, and
// the webhook cannot run before a node is Ready.
func TestF18BootstrapFromEmptyCluster(t *testing.T) {
	fault{long: true, idle: true, lab: &lab.Options{Nodes: nodes, Without: []string{lab.Webhook, lab.Scheduler}}, inflict: func(r *run) {
		for i := range nodes {
			r.Must(r.SetNotReady(r.T.Context(), lab.NodeName(i), true))
		}
		r.Eventually("all nodes are tainted", func(ctx context.Context) (string, error) {
			var list corev1.NodeList
			err := r.List(ctx, &list)
			for i := range list.Items {
				if len(list.Items[i].Spec.Taints) == 0 {
					return list.Items[i].Name + " is not", err
				}
			}
			return "", err
		})
		var network []*labtest.Workload
		r.during("nothing runs, and no node is Ready", func() {
			for _, kind := range bothKinds {
				network = append(network, r.addToFleet(kind, labtest.DaemonSet(r.nameOf("network", kind), onIncluded, func(set *v1alpha1.DaemonSet) {
					set.Spec.Template.Spec.HostNetwork = true
					set.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
				})))
				r.addToFleet(kind, labtest.DaemonSet(r.nameOf("later", kind), onIncluded))
			}
			for _, name := range []string{lab.Controller, lab.EverynodeScheduler} {
				r.Must(r.Component(name).Restart(r.T.Context()))
			}
			for i := range nodes {
				r.bringUp(lab.NodeName(i), network)
			}
			r.Must(r.WaitForNodes(r.T.Context()))
			r.Must(r.Component(lab.Webhook).Restart(r.T.Context()))
			r.Must(r.Component(lab.Scheduler).Restart(r.T.Context()))
		})
	}, judge: placedByController}.test(t)
}

// bringUp is a kubelet: its node is Ready once the network's pods run there.
func (r *run) bringUp(node string, network []*labtest.Workload) {
	r.T.Helper()
	for _, w := range network {
		r.Eventually(w.Name+" runs on "+node, func(ctx context.Context) (string, error) {
			var pods corev1.PodList
			if err := r.List(ctx, &pods, client.InNamespace(w.Namespace)); err != nil {
				return "", err
			}
			for i := range pods.Items {
				pod := &pods.Items[i]
				if metav1.IsControlledBy(pod, w) && pod.Spec.NodeName == node && pod.Status.Phase == corev1.PodRunning {
					return "", nil
				}
			}
			return fmt.Sprintf("not among %d pods", len(pods.Items)), nil
		})
	}
	r.Must(r.SetNotReady(r.T.Context(), node, false))
}
