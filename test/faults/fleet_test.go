package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// excluded is the label of nodes on which the fleet does not run.
const excluded = "faults.example.com/excluded"

var bothKinds = []schema.GroupVersionKind{labtest.Everynode, labtest.Apps}

// rolling replaces pods within maxUnavailable; each takes a second to terminate, and its place for so long.
func rolling(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(1))
	set.Spec.UpdateStrategy = strategy(1, 0)
}

// surging starts pods beside their predecessors.
func surging(set *v1alpha1.DaemonSet) { set.Spec.UpdateStrategy = strategy(0, 1) }

func strategy(maxUnavailable, maxSurge int) v1alpha1.DaemonSetUpdateStrategy {
	return v1alpha1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: new(intstr.FromInt(maxUnavailable)), MaxSurge: new(intstr.FromInt(maxSurge))},
	}
}

// onIncluded keeps a daemon off excluded nodes.
func onIncluded(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: excluded, Operator: corev1.NodeSelectorOpDoesNotExist}},
		}}},
	}}
}

// named counts DaemonSets, so that no two runs use a name.
var named int

// nameOf returns a new name.
func (r *run) nameOf(what string, kind schema.GroupVersionKind) string {
	named++
	id, _, _ := strings.Cut(kind.Group, ".")
	return fmt.Sprintf("%s-%s-%d", what, id, named)
}

// makeFleet creates a rolling and a surging DaemonSet of each kind, and waits until they run.
func (r *run) makeFleet() {
	r.T.Helper()
	for _, kind := range bothKinds {
		r.addToFleet(kind, labtest.DaemonSet(r.nameOf("rolling", kind), onIncluded, rolling))
		r.addToFleet(kind, labtest.DaemonSet(r.nameOf("surging", kind), onIncluded, surging))
	}
	for _, w := range r.fleet {
		r.waitForFleetPods(w)
	}
}

func (r *run) addToFleet(kind schema.GroupVersionKind, set *v1alpha1.DaemonSet) *labtest.Workload {
	r.T.Helper()
	w := r.MakeWorkload(kind, set)
	r.fleet = append(r.fleet, w)
	return w
}

// eligible returns the nodes that are not excluded.
func (r *run) eligible(ctx context.Context) ([]string, error) {
	var list corev1.NodeList
	if err := r.List(ctx, &list); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if _, out := list.Items[i].Labels[excluded]; !out {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}

func (r *run) waitForFleetPods(w *labtest.Workload) {
	r.T.Helper()
	names, err := r.eligible(r.T.Context())
	r.Must(err)
	r.WaitForPods(w, names...)
}

// step is a change that a person, or another controller, makes. Its name is what the history shows.
type step struct {
	name string
	make func(context.Context, *run) error
}

// steps are what the fleet is exposed to while a fault lasts.
var steps = []step{
	{"a template changes", rollOne},
	{"a template changes", rollOne},
	{"a pod is deleted", deleteOnePod},
	{"a pod is deleted", deleteOnePod},
	{"a node is excluded", excludeOneNode},
	{"all nodes are included", func(ctx context.Context, r *run) error { return r.includeAll(ctx) }},
}

// stepLimit bounds a step while the API server may be unreachable.
const stepLimit = 5 * time.Second

// churn makes n random changes, and returns how many were accepted.
func (r *run) churn(n int) int {
	r.T.Helper()
	accepted := 0
	for range n {
		next := steps[r.rng.IntN(len(steps))]
		if r.try(next) {
			accepted++
		}
		r.pause(50*time.Millisecond, 400*time.Millisecond)
	}
	return accepted
}

// try makes a change, and returns false when it is not accepted, which is no failure: a fault may have reached the API server.
func (r *run) try(s step) bool {
	ctx, cancel := context.WithTimeout(r.T.Context(), stepLimit)
	defer cancel()
	err := s.make(ctx, r)
	if err != nil {
		r.T.Logf("%s: %v", s.name, err)
	}
	return err == nil
}

// rollAll changes every template.
func (r *run) rollAll() {
	r.T.Helper()
	for _, w := range r.fleet {
		r.roll(w, r.image())
	}
}

// image returns an image that no template had.
func (r *run) image() string {
	r.rolls++
	return fmt.Sprintf("example.com/fleet:%d", r.rolls)
}

func (r *run) roll(w *labtest.Workload, image string) {
	r.T.Helper()
	r.Must(r.patchImage(r.T.Context(), w, image))
}

// patchImage changes a template, without reading it first.
func (r *run) patchImage(ctx context.Context, w *labtest.Workload, image string) error {
	return r.patchWorkload(ctx, w, fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, image))
}

func (r *run) patchWorkload(ctx context.Context, w *labtest.Workload, patch string) error {
	return r.Patch(ctx, objectOf(w), client.RawPatch(types.JSONPatchType, []byte(patch)))
}

func objectOf(w *labtest.Workload) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}}
	object.SetGroupVersionKind(w.Kind)
	return object
}

func rollOne(ctx context.Context, r *run) error {
	return r.patchImage(ctx, r.fleet[r.rng.IntN(len(r.fleet))], r.image())
}

func deleteOnePod(ctx context.Context, r *run) error {
	pods, err := r.PodsOf(ctx, r.fleet[r.rng.IntN(len(r.fleet))])
	if err != nil || len(pods) == 0 {
		return err
	}
	return client.IgnoreNotFound(r.Delete(ctx, &pods[r.rng.IntN(len(pods))]))
}

func excludeOneNode(ctx context.Context, r *run) error {
	names, err := r.eligible(ctx)
	if err != nil || len(names) < 3 {
		return err
	}
	return r.LabelNode(ctx, names[r.rng.IntN(len(names))], excluded, "true")
}

func (r *run) includeAll(ctx context.Context) error {
	var list corev1.NodeList
	if err := r.List(ctx, &list, client.HasLabels{excluded}); err != nil {
		return err
	}
	for i := range list.Items {
		if err := r.LabelNode(ctx, list.Items[i].Name, excluded, ""); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for a random time, so that faults hit programs at other moments in each run.
func (r *run) pause(from, to time.Duration) {
	time.Sleep(from + time.Duration(r.rng.Int64N(int64(to-from))))
}

const (
	// settling is the time after the fleet is as it should be in which remaining writes, such as a status, may happen.
	settling = 3 * time.Second
	// quiet is the time in which none may happen (L2).
	quiet = 2 * time.Second
)

// settle waits until the fleet is as its last spec says, and then observes that nothing is written any more.
func (r *run) settle() {
	r.T.Helper()
	r.Must(r.includeAll(r.T.Context()))
	for _, w := range r.fleet {
		r.waitUntilDone(w)
		// The controller notices within ten seconds that admission works again, and writes that into the status.
		r.WaitForWorkload(w, "that admission places pods", func(status *v1alpha1.DaemonSetStatus) bool {
			condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPlacementAdmission)
			return condition == nil || condition.Status == metav1.ConditionTrue
		})
	}
	time.Sleep(settling)
	r.mark(history.Settled, "the fault ended")
	time.Sleep(quiet)
}

// waitUntilDone waits until a DaemonSet has rolled out to every eligible node.
func (r *run) waitUntilDone(w *labtest.Workload) {
	r.T.Helper()
	names, err := r.eligible(r.T.Context())
	r.Must(err)
	r.WaitForWorkload(w, "that it is rolled out", func(status *v1alpha1.DaemonSetStatus) bool {
		n := int32(len(names))
		return status.DesiredNumberScheduled == n && status.UpdatedNumberScheduled == n && status.NumberAvailable == n && status.NumberMisscheduled == 0
	})
	r.WaitForPods(w, names...)
}

// deleteFleet deletes the fleet, and waits until its pods and records are gone (L3).
func (r *run) deleteFleet() {
	r.T.Helper()
	r.mark(history.Edited, "the fleet is deleted")
	for _, w := range r.fleet {
		r.Must(client.IgnoreNotFound(r.Delete(r.T.Context(), objectOf(w), client.PropagationPolicy(metav1.DeletePropagationForeground))))
	}
	for _, w := range r.fleet {
		r.Eventually("DaemonSet "+w.Name+" is gone", func(ctx context.Context) (string, error) {
			object := objectOf(w)
			if err := r.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
				return "it still exists", err
			}
			return "", nil
		})
	}
	r.Eventually("the fleet's records are gone", func(ctx context.Context) (string, error) {
		var records appsv1.ControllerRevisionList
		if err := r.List(ctx, &records); err != nil {
			return "", err
		}
		for i := range records.Items {
			for _, w := range r.fleet {
				if metav1.IsControlledBy(&records.Items[i], w) {
					return records.Items[i].Name + " still exists", nil
				}
			}
		}
		return "", nil
	})
	r.mark(history.Settled, "the fleet is deleted")
}

// podOn returns a DaemonSet's pod on a node.
func (r *run) podOn(w *labtest.Workload, node string) corev1.Pod {
	r.T.Helper()
	names, err := r.eligible(r.T.Context())
	r.Must(err)
	return r.WaitForPods(w, names...)[node]
}

// aNode returns a random one of the lab's first nodes.
func (r *run) aNode() string { return lab.NodeName(r.rng.IntN(nodes)) }
