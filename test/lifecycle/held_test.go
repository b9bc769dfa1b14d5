package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const (
	heldNodes = 6
	canary    = "example.com/canary"
	second    = "example.com/second"
)

// What spec.rollout holds back, on a real control plane: with the schema and the policy that confines the controller's token.
func TestHeldRollouts(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: heldNodes})
	for name, test := range map[string]func(*held){
		"partition":                              partitionOpens,
		"pause":                                  pauseHolds,
		"node selector":                          selectorHolds,
		"emergency stop":                         stopHolds,
		"waves":                                  wavesPass,
		"a restart changes nothing of the above": restartHolds,
	} {
		t.Run(name, func(t *testing.T) { test(newHeld(cluster.With(t))) })
	}
	t.Run("what the schema refuses", func(t *testing.T) { schemaRefuses(cluster.With(t)) })
}

// held is a DaemonSet with spec.rollout, whose first template is stable.
type held struct {
	*labtest.Cluster
	set *v1alpha1.DaemonSet
}

var heldSets int

func newHeld(c *labtest.Cluster) *held {
	heldSets++
	rolling := limits("2", "0")
	h := &held{c, labtest.DaemonSet(fmt.Sprintf("held-%d", heldSets), func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy.RollingUpdate = &rolling
		set.Spec.Rollout = &v1alpha1.Rollout{}
	})}
	c.Make(h.set)
	c.WaitForPods(h.set, labtest.NodeNames(heldNodes)...)
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
	return h
}

// change edits the DaemonSet.
func (h *held) change(change func(*v1alpha1.DaemonSet)) {
	h.T.Helper()
	h.Must(h.Get(h.T.Context(), client.ObjectKeyFromObject(h.set), h.set))
	changed := h.set.DeepCopy()
	change(changed)
	h.Must(h.Patch(h.T.Context(), changed, client.MergeFrom(h.set)))
	h.set = changed
}

// waitFor waits for a phase with a number of updated and available nodes.
func (h *held) waitFor(phase v1alpha1.RolloutPhase, updated int32) v1alpha1.DaemonSetStatus {
	h.T.Helper()
	h.WaitForStatus(h.set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.ObservedGeneration >= h.set.Generation && status.Rollout != nil && status.Rollout.Phase == phase &&
			status.UpdatedNumberScheduled == updated && status.NumberAvailable == heldNodes
	})
	return h.set.Status
}

// updated returns the nodes with a pod of the second image, sorted.
func (h *held) updated() (nodes []string) {
	h.T.Helper()
	for node, pod := range h.WaitForPods(h.set, labtest.NodeNames(heldNodes)...) {
		if pod.Spec.Containers[0].Image == second {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// stays fails if other nodes are updated than these, after all pods were deleted and created again.
func (h *held) stays(want []string) {
	h.T.Helper()
	for _, pod := range h.WaitForPods(h.set, labtest.NodeNames(heldNodes)...) {
		h.Must(h.Delete(h.T.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}))
	}
	h.Eventually("every pod is another one", func(ctx context.Context) (string, error) {
		pods, err := h.PodsOf(ctx, h.set)
		for i := range pods {
			if pods[i].DeletionTimestamp != nil {
				return pods[i].Name + " is terminating", err
			}
		}
		return "", err
	})
	if got := h.updated(); !slices.Equal(got, want) {
		h.T.Errorf("nodes %v are updated, want %v", got, want)
	}
}

// progressing returns the reason of the condition Progressing.
func progressing(status *v1alpha1.DaemonSetStatus) string {
	if found := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing); found != nil {
		return string(found.Status) + " " + found.Reason
	}
	return ""
}

// wantStable fails if the records say that other revisions became stable.
func (h *held) wantStable(want ...string) {
	h.T.Helper()
	var list appsv1.ControllerRevisionList
	h.Must(h.List(h.T.Context(), &list, client.InNamespace(h.set.Namespace)))
	var got []string
	for i := range list.Items {
		record := &list.Items[i]
		if number := record.Annotations[v1alpha1.StableAnnotation]; number != "" && metav1.IsControlledBy(record, h.set) {
			got = append(got, fmt.Sprintf("revision %d: %s", record.Revision, number))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		h.T.Errorf("stable are %v, want %v", got, want)
	}
}

func setSecond(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = second }

func keep(partition string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		of := intstr.Parse(partition)
		set.Spec.Rollout.Partition = &of
	}
}

func partitionOpens(h *held) {
	h.change(func(set *v1alpha1.DaemonSet) { keep("50%")(set); setSecond(set) })
	status := h.waitFor(v1alpha1.RolloutHeld, 3)
	if got := progressing(&status); got != "False Held" {
		h.T.Errorf("Progressing is %s", got)
	}
	first := labtest.NodeNames(heldNodes)[:3]
	h.stays(first)
	h.wantStable("revision 1: 1")
	h.change(keep("100%"))
	h.waitFor(v1alpha1.RolloutHeld, 3) // none is rolled back
	h.change(keep("0"))
	status = h.waitFor(v1alpha1.RolloutComplete, heldNodes)
	if got := progressing(&status); got != "False Complete" || status.Rollout.CurrentRevision != status.Rollout.UpdateRevision {
		h.T.Errorf("Progressing is %s, the rollout %+v", got, status.Rollout)
	}
	h.wantStable("revision 1: 1", "revision 2: 2")
	h.change(func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = nil })
	h.Eventually("nothing is recorded as stable", func(ctx context.Context) (string, error) {
		var list appsv1.ControllerRevisionList
		err := h.List(ctx, &list, client.InNamespace(h.set.Namespace))
		for i := range list.Items {
			if record := &list.Items[i]; record.Annotations[v1alpha1.StableAnnotation] != "" && metav1.IsControlledBy(record, h.set) {
				return record.Name, err
			}
		}
		return "", err
	})
}

// pauseHolds pauses by annotation.
func pauseHolds(h *held) {
	mark := func(value string) {
		h.change(func(set *v1alpha1.DaemonSet) {
			metav1.SetMetaDataAnnotation(&set.ObjectMeta, v1alpha1.PausedAnnotation, value)
		})
	}
	h.change(setSecond)
	h.Eventually("the rollout is in progress", func(ctx context.Context) (string, error) {
		pods, err := h.PodsOf(ctx, h.set)
		for i := range pods {
			if pods[i].Spec.Containers[0].Image == second {
				return "", nil
			}
		}
		return "no new pod yet", err
	})
	mark("true")
	h.WaitForStatus(h.set, func(status *v1alpha1.DaemonSetStatus) bool {
		return status.Rollout != nil && status.Rollout.Phase != v1alpha1.RolloutProgressing && status.NumberAvailable == heldNodes
	})
	if status := h.set.Status; status.Rollout.Phase == v1alpha1.RolloutPaused {
		if got := progressing(&status); got != "False Paused" {
			h.T.Errorf("Progressing is %s", got)
		}
		h.stays(h.updated())
	}
	mark("false")
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
}

func (h *held) label(node, value string) {
	h.T.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, canary, value)
	h.Must(h.Patch(h.T.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch("application/merge-patch+json", []byte(patch))))
}

func selectorHolds(h *held) {
	one, other := lab.NodeName(1), lab.NodeName(4)
	h.label(one, "true")
	h.change(func(set *v1alpha1.DaemonSet) {
		set.Spec.Rollout.NodeSelector = &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{canary: "true"}}
		setSecond(set)
	})
	h.waitFor(v1alpha1.RolloutHeld, 1)
	h.label(other, "true")
	h.waitFor(v1alpha1.RolloutHeld, 2)
	h.label(one, "false")
	h.stays([]string{one, other})
	h.label(other, "false")
	h.change(func(set *v1alpha1.DaemonSet) { set.Spec.Rollout.NodeSelector = nil })
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
}

// wavesPass promotes waves, and restarts the controller in a soak.
func wavesPass(h *held) {
	one, two := intstr.FromInt32(1), intstr.FromString("34%")
	h.change(func(set *v1alpha1.DaemonSet) {
		set.Spec.Rollout.Waves = []v1alpha1.Wave{
			{Name: "one", Nodes: &one, Soak: "8s", Approval: true},
			{Name: "third", Nodes: &two, Checks: []string{"smoke"}},
		}
		setSecond(set)
	})
	status := h.waitFor(v1alpha1.RolloutSoaking, 1)
	if got := progressing(&status); got != "True Soaking" {
		h.T.Errorf("Progressing is %s", got)
	}
	h.Component(lab.Controller).Kill()
	h.Must(h.Component(lab.Controller).Restart(h.T.Context()))
	status = h.waitFor(v1alpha1.RolloutAwaitingApproval, 1)
	annotate := func(key, value string) {
		h.change(func(set *v1alpha1.DaemonSet) { metav1.SetMetaDataAnnotation(&set.ObjectMeta, key, value) })
	}
	revision := status.Rollout.UpdateRevision
	annotate(v1alpha1.PromoteAnnotation, revision+"/one")
	status = h.waitFor(v1alpha1.RolloutHeld, 3)
	if wave := status.Rollout.Wave; wave == nil || wave.Name != "third" || wave.Available != 3 {
		h.T.Errorf("wave is %+v", wave)
	}
	annotate(v1alpha1.CheckAnnotationPrefix+"smoke", revision+"/third/Passed")
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
}

// restartHolds restarts the controller, and takes the status away.
func restartHolds(h *held) {
	h.change(func(set *v1alpha1.DaemonSet) { keep("4")(set); setSecond(set) })
	h.waitFor(v1alpha1.RolloutHeld, 2)
	h.Component(lab.Controller).Kill()
	h.Must(h.Get(h.T.Context(), client.ObjectKeyFromObject(h.set), h.set))
	bare := h.set.DeepCopy()
	bare.Status = v1alpha1.DaemonSetStatus{}
	h.Must(h.Status().Update(h.T.Context(), bare))
	for _, pod := range h.WaitForPods(h.set, labtest.NodeNames(heldNodes)...) {
		if pod.Spec.NodeName == lab.NodeName(5) {
			h.Must(h.Delete(h.T.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}))
		}
	}
	h.Must(h.Component(lab.Controller).Restart(h.T.Context()))
	h.waitFor(v1alpha1.RolloutHeld, 2)
	if got, want := h.updated(), labtest.NodeNames(heldNodes)[:2]; !slices.Equal(got, want) {
		h.T.Errorf("nodes %v are updated, want %v", got, want)
	}
	h.change(keep("0"))
	h.waitFor(v1alpha1.RolloutComplete, heldNodes)
}

// schemaRefuses creates DaemonSets that the CRD refuses.
func schemaRefuses(c *labtest.Cluster) {
	long := make([]string, 65)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	requirement := func(operator string, values ...string) *v1alpha1.RolloutNodeSelector {
		return &v1alpha1.RolloutNodeSelector{MatchExpressions: []v1alpha1.RolloutNodeRequirement{{Key: "k", Operator: operator, Values: values}}}
	}
	for name, rollout := range map[string]*v1alpha1.Rollout{
		"a negative partition":          {Partition: &intstr.IntOrString{IntVal: -1}},
		"a partition of more than all":  {Partition: &intstr.IntOrString{Type: intstr.String, StrVal: "101%"}},
		"a partition without a number":  {Partition: &intstr.IntOrString{Type: intstr.String, StrVal: "half"}},
		"a wave without nodes":          {Waves: []v1alpha1.Wave{{Name: "a"}}},
		"a wave of no nodes":            {Waves: []v1alpha1.Wave{{Name: "a", Nodes: &intstr.IntOrString{}}}},
		"a wave of 0%":                  {Waves: []v1alpha1.Wave{{Name: "a", Nodes: &intstr.IntOrString{Type: intstr.String, StrVal: "0%"}}}},
		"a long soak":                   {Waves: []v1alpha1.Wave{{Name: "a", Nodes: &intstr.IntOrString{IntVal: 1}, Soak: "169h"}}},
		"a name that is no label":       {Waves: []v1alpha1.Wave{{Name: "A b", Nodes: &intstr.IntOrString{IntVal: 1}}}},
		"four keys":                     {Order: []string{"a", "b", "c", "d"}},
		"an empty key":                  {Order: []string{""}},
		"new nodes":                     {NewNodes: "Never"},
		"an operator that is not known": {NodeSelector: requirement("Is", "a")},
		"a key that no label has":       {NodeSelector: &v1alpha1.RolloutNodeSelector{MatchLabels: map[string]string{"a b": "c"}}},
		"a value that no label has":     {NodeSelector: requirement("In", "a b")},
		"In without values":             {NodeSelector: requirement("In")},
		"Exists with a value":           {NodeSelector: requirement("Exists", "a")},
		"too many values":               {NodeSelector: requirement("In", long...)},
		"dead nodes too soon":           {DeadNodes: &v1alpha1.DeadNodes{AfterSeconds: 9}},
		"dead nodes too late":           {DeadNodes: &v1alpha1.DeadNodes{AfterSeconds: 86401}},
		"dead nodes by another policy":  {DeadNodes: &v1alpha1.DeadNodes{Policy: "Ignore"}},
		"a negative share":              {DeadNodes: &v1alpha1.DeadNodes{MaxShare: &intstr.IntOrString{IntVal: -1}}},
		"a share without a number":      {DeadNodes: &v1alpha1.DeadNodes{MaxShare: &intstr.IntOrString{Type: intstr.String, StrVal: "few"}}},
	} {
		set := labtest.DaemonSet("refused", func(set *v1alpha1.DaemonSet) { set.Spec.Rollout = rollout })
		if err := c.Create(c.T.Context(), set, client.DryRunAll); err == nil {
			c.T.Errorf("%s: it is accepted", name)
		}
	}
	set := labtest.DaemonSet("refused", func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
		set.Spec.Rollout = &v1alpha1.Rollout{}
		keep("1")(set)
	})
	if err := c.Create(c.T.Context(), set, client.DryRunAll); err == nil {
		c.T.Error("a partition under OnDelete is accepted")
	}
}
