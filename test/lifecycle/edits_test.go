package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/edits"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	// seedVariable repeats a sequence of random edits.
	seedVariable = "EVERYNODE_EDITS_SEED"
	// sequences is how many sequences each kind gets; editsOf how many edits one has.
	sequences, editsOf = 3, 12
)

// seeds returns the seeds of the sequences: fixed ones and a new one, or that of the variable.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	if text, given := os.LookupEnv(seedVariable); given {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		return []uint64{seed}
	}
	all := []uint64{uint64(time.Now().UnixNano())}
	for seed := uint64(1); len(all) < sequences; seed++ {
		all = append(all, seed)
	}
	return all
}

// mixedNodes are those of the tests below: one has the label that edits select by, one the taint that they tolerate, and one both.
func mixedNodes(c *labtest.Cluster) {
	c.T.Helper()
	taint := corev1.Taint{Key: edits.Special, Effect: corev1.TaintEffectNoSchedule}
	for i, name := range labtest.NodeNames(4) {
		if i&1 > 0 {
			c.Must(c.LabelNode(c.T.Context(), name, edits.Disk, edits.SSD))
		}
		if i&2 > 0 {
			c.Must(c.TaintNode(c.T.Context(), name, taint))
		}
	}
}

// TestRandomEdits edits DaemonSets of both kinds at random, from valid to invalid and back. They end as the last spec says (L4).
func TestRandomEdits(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: 4, Workloads: lab.WorkloadsBoth})
	mixedNodes(c)
	witness := c.Watch()
	for _, kind := range bothKinds {
		for _, seed := range seeds(t) {
			t.Run(fmt.Sprintf("%s/%d", kind.Group, seed), func(t *testing.T) {
				c := c.With(t)
				t.Logf("repeat with %s=%d", seedVariable, seed)
				random := rand.New(rand.NewPCG(seed, 0))
				w := c.MakeWorkload(kind, labtest.DaemonSet(fmt.Sprintf("edited-%d", seed)))
				for _, edit := range edits.Sequence(random, editsOf) {
					accepted := tryEdit(c, w, edit, random)
					t.Logf("%s (accepted: %v)", edit.Name, accepted)
					if accepted && random.IntN(2) == 0 {
						c.WaitForWorkload(w, "it observed the edit", func(*v1alpha1.DaemonSetStatus) bool { return true })
					}
				}
				asTheSpecSays(c, w)
			})
		}
	}
	c.Verdict(witness, sequences)
	c.NothingForbidden()
}

// tryEdit applies an edit, which the API server may refuse only when it is invalid.
func tryEdit(c *labtest.Cluster, w *labtest.Workload, edit edits.Edit, random *rand.Rand) (accepted bool) {
	c.T.Helper()
	err := c.TryChange(w, func(set *v1alpha1.DaemonSet) { edit.Apply(&set.Spec, random) })
	if err != nil && (edit.Valid || !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err)) {
		c.T.Fatalf("%s: %v", edit.Name, err)
	}
	return err == nil
}

// asTheSpecSays waits until a daemon is as its spec says, and verifies that it stays so: exactly one available pod of the template on each
// eligible node. On the others there is none, but a node whose taint keeps new pods away may have one.
func asTheSpecSays(c *labtest.Cluster, w *labtest.Workload) {
	c.T.Helper()
	c.Must(c.ReadWorkload(c.T.Context(), w))
	var list corev1.NodeList
	c.Must(c.List(c.T.Context(), &list))
	c.Eventually(w.Name+" is as its spec says", func(ctx context.Context) (string, error) {
		if err := c.ReadWorkload(ctx, w); err != nil {
			return "", err
		}
		pods, err := c.PodsOf(ctx, w)
		if err != nil {
			return "", err
		}
		on := map[string]int{}
		for i := range pods {
			pod := &pods[i]
			if why := edits.Stale(&w.Spec, pod); why != "" || !lab.PodReady(pod) || pod.DeletionTimestamp != nil {
				return fmt.Sprintf("pod %s on %s: %s, %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase, why), nil
			}
			on[pod.Spec.NodeName]++
		}
		return misplaced(w, list.Items, on), nil
	})
}

// misplaced returns a node with another number of pods than its daemon wants.
func misplaced(w *labtest.Workload, nodes []corev1.Node, on map[string]int) string {
	eligible := 0
	for i := range nodes {
		node := &nodes[i]
		switch n := on[node.Name]; {
		case edits.Eligible(&w.Spec, node) && n != 1:
			return fmt.Sprintf("%s is eligible and has %d pods", node.Name, n)
		case !edits.Eligible(&w.Spec, node) && n > 0 && len(node.Spec.Taints) == 0:
			return fmt.Sprintf("%s is not eligible and has %d pods", node.Name, n)
		}
		if on[node.Name] > 0 {
			eligible++
		}
	}
	status := &w.Status
	if status.ObservedGeneration != w.Generation || int(status.NumberAvailable) < eligible || status.NumberUnavailable > 0 {
		return fmt.Sprintf("generation %d, status %+v", w.Generation, status)
	}
	return ""
}

// TestCorruption corrupts pods and ControllerRevisions of daemons at random. They are repaired or replaced.
func TestCorruption(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: 4, Workloads: lab.WorkloadsBoth})
	witness := c.Watch()
	for _, kind := range bothKinds {
		for _, seed := range seeds(t) {
			t.Run(fmt.Sprintf("%s/%d", kind.Group, seed), func(t *testing.T) {
				c := c.With(t)
				t.Logf("repeat with %s=%d", seedVariable, seed)
				random := rand.New(rand.NewPCG(seed, 0))
				w := c.MakeWorkload(kind, labtest.DaemonSet(fmt.Sprintf("corrupt-%d", seed)))
				c.WaitForPods(w, labtest.NodeNames(4)...)
				applied := 0
				for range editsOf {
					applied += corruptPod(c, w, random) + corruptRevision(c, w, random)
				}
				if applied < editsOf {
					t.Errorf("%d corruptions were stored, want %d or more", applied, editsOf)
				}
				// The garbage collector learns of a kind, whose dependents it is to delete, with a delay.
				recovered(c.Within(3*labtest.Patience), w)
			})
		}
	}
	c.Verdict(witness, sequences)
	c.NothingForbidden()
}

// corruptPod corrupts one pod of a daemon, and returns how many changes were stored.
func corruptPod(c *labtest.Cluster, w *labtest.Workload, random *rand.Rand) int {
	c.T.Helper()
	pods, err := c.PodsOf(c.T.Context(), w)
	c.Must(err)
	if len(pods) == 0 {
		return 0
	}
	pod, corruption := &pods[random.IntN(len(pods))], edits.PodCorruptions[random.IntN(len(edits.PodCorruptions))]
	before := pod.DeepCopy()
	corruption.Apply(pod, random)
	if pod.Status.Phase != before.Status.Phase {
		return stored(c, corruption.Name, pod, c.Status().Patch(c.T.Context(), pod, client.MergeFrom(before)))
	}
	return stored(c, corruption.Name, pod, c.Patch(c.T.Context(), pod, client.MergeFrom(before)))
}

func corruptRevision(c *labtest.Cluster, w *labtest.Workload, random *rand.Rand) int {
	c.T.Helper()
	records, err := c.RevisionsOf(c.T.Context(), w)
	c.Must(err)
	if len(records) == 0 {
		return 0
	}
	record, corruption := &records[random.IntN(len(records))], edits.RevisionCorruptions[random.IntN(len(edits.RevisionCorruptions))]
	before := record.DeepCopy()
	corruption.Apply(record, random)
	return stored(c, corruption.Name, record, c.Patch(c.T.Context(), record, client.MergeFrom(before)))
}

// stored counts a corruption, unless the API server refused it or the object is gone.
func stored(c *labtest.Cluster, name string, object metav1.Object, err error) int {
	c.T.Helper()
	if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsNotFound(err) {
		c.T.Errorf("%s: %v", name, err)
	}
	c.T.Logf("%s of %T %s: %v", name, object, object.GetName(), err)
	if err != nil {
		return 0
	}
	return 1
}

// recovered waits until a daemon has its pods and its record again, in the form that the controller writes.
func recovered(c *labtest.Cluster, w *labtest.Workload) {
	c.T.Helper()
	c.Eventually(w.Name+" has recovered", func(ctx context.Context) (string, error) {
		if err := c.ReadWorkload(ctx, w); err != nil {
			return "", err
		}
		records, err := c.RevisionsOf(ctx, w)
		if err != nil || len(records) == 0 {
			return "it has no record", err
		}
		last := &records[len(records)-1] // one without the label has its name as its revision, as in apps/v1
		revision := cmp.Or(last.Labels["controller-revision-hash"], last.Name)
		pods, err := c.PodsOf(ctx, w)
		if err != nil {
			return "", err
		}
		on := map[string]int{}
		for i := range pods {
			pod := &pods[i]
			if !lab.PodReady(pod) || pod.DeletionTimestamp != nil || pod.Labels["controller-revision-hash"] != revision || pod.Labels["app"] != w.Name {
				return fmt.Sprintf("pod %s is %s, its labels are %v, the last revision %s", pod.Name, pod.Status.Phase, pod.Labels, revision), nil
			}
			on[pod.Spec.NodeName]++
		}
		for _, node := range labtest.NodeNames(4) {
			if on[node] != 1 {
				return fmt.Sprintf("%s has %d pods", node, on[node]), nil
			}
		}
		if w.Status.NumberAvailable != 4 || w.Status.UpdatedNumberScheduled != 4 {
			return fmt.Sprintf("the status is %+v", w.Status), nil
		}
		return "", nil
	})
}
