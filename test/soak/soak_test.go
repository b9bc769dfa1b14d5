package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// minutesVariable is how many minutes TestSoak runs; make soak sets it.
const minutesVariable = "EVERYNODE_SOAK_MINUTES"

const (
	nodes   = 8
	daemons = 4
)

// TestSoak runs rounds of churn: pods are deleted, a template is changed, a node leaves and joins. A round ends when every daemon has
// converged. The witness checks S1 and S2 all the time. Figures are logged for each program.
func TestSoak(t *testing.T) {
	text, given := os.LookupEnv(minutesVariable)
	if !given {
		t.Skipf("%s is not set: run make soak MINUTES=10", minutesVariable)
	}
	minutes, err := strconv.ParseFloat(text, 64)
	if err != nil || minutes <= 0 {
		t.Fatalf("%s=%s is not a number of minutes", minutesVariable, text)
	}
	// The programs collect garbage when the heap has grown by half, instead of when it has grown by the room that they give it: this takes
	// seconds instead of minutes, and resident memory follows the live heap.
	t.Setenv("GOGC", "50")
	c := labtest.Start(t, lab.Options{Nodes: nodes})
	witness := c.Watch(labtest.Everynode)
	sets := make([]*labtest.Workload, daemons)
	for i := range sets {
		sets[i] = c.MakeWorkload(labtest.Everynode, labtest.DaemonSet(fmt.Sprintf("daemon-%d", i), quick))
		c.WaitForPods(sets[i], labtest.NodeNames(nodes)...)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	samples := map[string][]sample{}
	rounds := 0
	for end := time.Now().Add(time.Duration(minutes * float64(time.Minute))); time.Now().Before(end) || rounds < 2*minSamples; rounds++ {
		churn(c, random, sets, rounds)
		for program, used := range c.UsageOfAll() {
			samples[program] = append(samples[program], sample{rounds, used})
		}
	}
	t.Logf("%d rounds in %s minutes", rounds, text)
	for _, program := range labtest.Programs {
		grew, figures := growth(samples[program])
		t.Logf("%s: %q", program, figures)
		for _, what := range grew {
			t.Errorf("%s grew: %s", program, what)
		}
	}
	quiet(c)
	c.Verdict(witness, rounds*(nodes/2+1))
	c.NothingForbidden()
}

// quick replaces half of the nodes at once.
func quick(set *v1alpha1.DaemonSet) {
	half := intstr.FromString("50%")
	set.Spec.UpdateStrategy.RollingUpdate = &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &half}
}

// churn is one round. It takes from every kind of event, so that all rounds cost about the same.
func churn(c *labtest.Cluster, random *rand.Rand, sets []*labtest.Workload, round int) {
	c.T.Helper()
	victim := sets[random.IntN(len(sets))]
	pods, err := c.PodsOf(c.T.Context(), victim)
	c.Must(err)
	for i, pod := range pods {
		if i%2 == round%2 {
			c.Must(client.IgnoreNotFound(c.Delete(c.T.Context(), &pod, client.GracePeriodSeconds(0))))
		}
	}
	changed := sets[round%len(sets)]
	c.ChangeWorkload(changed, func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Annotations = map[string]string{"example.com/round": strconv.Itoa(round)}
	})
	node := lab.NodeName(random.IntN(nodes))
	c.Must(c.DeleteNode(c.T.Context(), node))
	c.Eventually("the pods of "+node+" are gone", func(ctx context.Context) (string, error) { return podsOn(ctx, c, node) })
	_, err = c.AddNode(c.T.Context(), node)
	c.Must(err)
	c.Must(c.WaitForNodes(c.T.Context(), node))
	for _, set := range sets {
		c.WaitForPods(set, labtest.NodeNames(nodes)...)
		c.WaitForWorkload(set, "it is up to date", func(status *v1alpha1.DaemonSetStatus) bool {
			return status.UpdatedNumberScheduled == nodes && status.NumberAvailable == nodes
		})
	}
}

// podsOn returns a pod that is still on a node, "" if there is none.
func podsOn(ctx context.Context, c *labtest.Cluster, node string) (string, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(labtest.Namespace)); err != nil {
		return "", err
	}
	at := slices.IndexFunc(pods.Items, func(pod corev1.Pod) bool { return pod.Spec.NodeName == node })
	if at < 0 {
		return "", nil
	}
	return "pod " + pods.Items[at].Name, nil
}

// quiet verifies that the writes end with the churn (L2): the controller is idle, and what is written then are the renewals of two
// leases.
func quiet(c *labtest.Cluster) {
	c.T.Helper()
	c.WaitForIdle(c.Component(lab.Controller))
	var sets v1alpha1.DaemonSetList
	c.Must(c.List(c.T.Context(), &sets))
	before := map[string]string{}
	for i := range sets.Items {
		before[sets.Items[i].Name] = sets.Items[i].ResourceVersion
	}
	begun := c.UsageOfAll()
	const pause = 10 * time.Second
	waitUntil := time.Now().Add(pause)
	c.Eventually("ten seconds pass", func(context.Context) (string, error) {
		if time.Now().Before(waitUntil) {
			return "not yet", nil
		}
		return "", nil
	})
	for program, used := range c.UsageOfAll() {
		// A lease is renewed every two seconds; an event may be written in addition.
		if wrote := used.Writes - begun[program].Writes; wrote > pause.Seconds()/2+5 {
			c.T.Errorf("%s writes %.0f times in %s without a change in the cluster", program, wrote, pause)
		}
	}
	for name, version := range before {
		var now v1alpha1.DaemonSet
		c.Must(c.Get(c.T.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: name}, &now))
		if now.ResourceVersion != version {
			c.T.Errorf("%s was written after the churn: resource version %s, then %s", name, version, now.ResourceVersion)
		}
	}
}
