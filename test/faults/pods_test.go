package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// F11: a node fails each pod as soon as it runs. Its DaemonSets create few pods there, and the other nodes are not affected.
func TestF11PodsFailOnOneNode(t *testing.T) {
	const span = 20 * time.Second
	var failed sets.Set[types.UID]
	fault{long: true, inflict: func(r *run) {
		failed = sets.New[types.UID]()
		node := r.aNode()
		r.during("a node fails its pods", func() {
			r.observer.Mark(history.Mark{Kind: history.Broken, Name: node})
			for begun := time.Now(); time.Since(begun) < span; time.Sleep(100 * time.Millisecond) {
				r.failPods(node, failed)
			}
			r.observer.Mark(history.Mark{Kind: history.Repaired, Name: node})
		})
	}, judge: func(r *run, _ *history.History) {
		// Immediately, and after 1, 2, 4 and 8 s, for each of the fleet's DaemonSets.
		r.happened("pods failed", failed.Len() > 2*len(r.fleet))
		if most := 6 * len(r.fleet); failed.Len() > most {
			r.T.Errorf("S8: %d pods failed in %s, want at most %d", failed.Len(), span, most)
		}
	}}.test(t)
}

// failPods fails the ready pods on a node.
func (r *run) failPods(node string, failed sets.Set[types.UID]) {
	r.T.Helper()
	for _, w := range r.fleet {
		pods, err := r.PodsOf(r.T.Context(), w)
		r.Must(err)
		for i := range pods {
			pod := &pods[i]
			if pod.Spec.NodeName != node || !lab.PodReady(pod) || pod.DeletionTimestamp != nil || failed.Has(pod.UID) {
				continue
			}
			// As a kubelet reports it: a pod that has failed is not ready.
			pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "OutOfcpu"
			for i := range pod.Status.Conditions {
				if condition := &pod.Status.Conditions[i]; condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
					condition.Status, condition.LastTransitionTime = corev1.ConditionFalse, metav1.Now()
				}
			}
			if err := r.Client.Status().Update(r.T.Context(), pod); client.IgnoreNotFound(err) == nil {
				failed.Insert(pod.UID)
			}
		}
	}
}

// F11: a policy denies the pods of one node. The refused creates are counted in the audit log.
func TestF11PodsDeniedOnOneNode(t *testing.T) {
	const span = 15 * time.Second
	var node string
	fault{long: true, inflict: func(r *run) {
		node = r.aNode()
		policy, binding := denyOn(node)
		r.during("a policy denies the pods of a node", func() {
			r.Must(r.Create(r.T.Context(), policy))
			r.T.Cleanup(func() { _ = r.Delete(context.Background(), policy) })
			r.Make(binding)
			r.waitUntilDenied(node)
			for _, w := range r.fleet {
				pod := r.podOn(w, node)
				r.Must(client.IgnoreNotFound(r.Delete(r.T.Context(), &pod, client.GracePeriodSeconds(0))))
			}
			time.Sleep(span)
			r.Must(r.Delete(r.T.Context(), policy))
		})
	}, judge: func(r *run, h *history.History) {
		refused := map[string]int{}
		for i := range h.Records {
			if request := h.Records[i].Request; request != nil && request.Resource == "pods" && request.Verb == "create" && !request.DryRun && request.Code == 422 && request.Object != nil {
				if owner := metav1.GetControllerOf(request.Object); owner != nil {
					refused[owner.Name]++
				}
			}
		}
		r.happened("creates were refused", len(refused) == len(r.fleet))
		for name, n := range refused {
			if n > 7 { // at once, and after 1, 2, 4 and 8 s; and what the fallback of placement adds
				r.T.Errorf("S8: %d creates of %s were refused in %s", n, name, span)
			}
		}
	}}.test(t)
}

// denyOn returns a policy that denies pods for one node.
func denyOn(node string) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	fail, name := admissionregistrationv1.Fail, "faults-not-on-"+node
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: fmt.Sprintf("!object.metadata.name.contains('-%s-')", node), Message: "not on " + node,
			}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
	return policy, binding
}

func (r *run) waitUntilDenied(node string) {
	r.T.Helper()
	r.Eventually("the policy denies", func(ctx context.Context) (string, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: "denied-" + node + "-probe"}}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "example.com/probe"}}
		if err := r.Create(ctx, pod, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "not on") {
			return fmt.Sprintf("the error is %v", err), nil
		}
		return "", nil
	})
}

// F13: templates, budgets and strategies change faster than a rollout ends, with revisions that are never ready among them.
func TestF13RolloutChurn(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		r.during("specs change", func() {
			for range 4 {
				for _, w := range r.fleet {
					r.edit(w)
				}
				r.pause(100*time.Millisecond, 2*time.Second)
			}
		})
		for _, w := range r.fleet {
			r.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) {
				set.Spec.MinReadySeconds = 0
				set.Spec.UpdateStrategy = strategy(1, 0)
				set.Spec.Template.Spec.Containers[0].Image = r.image()
			})
		}
		r.mark(history.Edited, "the last specs")
	}, judge: func(r *run, h *history.History) {
		stuck := slices.ContainsFunc(h.Records, func(record history.Record) bool {
			if record.Change == nil || record.Change.Type == watch.Deleted {
				return false
			}
			pod, isPod := record.Change.Object.(*corev1.Pod)
			return isPod && strings.HasSuffix(pod.Spec.Containers[0].Image, neverReady) && pod.Spec.NodeName != ""
		})
		r.happened("pods that are never ready were bound", stuck)
	}}.test(t)
}

// neverReady is the tag of an image that does not exist.
const neverReady = ":non-existent"

// edit makes one random edit of a DaemonSet.
func (r *run) edit(w *labtest.Workload) {
	r.T.Helper()
	choice := r.rng.IntN(6)
	r.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) {
		template := &set.Spec.Template.Spec
		switch choice {
		case 0, 1:
			template.Containers[0].Image = r.image()
		case 2:
			template.Containers[0].Image = "example.com/fleet" + neverReady
		case 3:
			set.Spec.UpdateStrategy = strategy(1+r.rng.IntN(2), 0)
			template.Containers[0].Image = r.image()
		case 4:
			set.Spec.UpdateStrategy = strategy(0, 1+r.rng.IntN(2))
			template.Containers[0].Image = "example.com/fleet" + neverReady
		default:
			set.Spec.MinReadySeconds = int32(r.rng.IntN(3))
			template.Containers[0].Image = r.image()
		}
	})
}

// F14: others create pods with the fleet's labels, names and owners, remove labels and owners of its pods, and recreate a
// DaemonSet whose pods they orphaned.
func TestF14ForeignActors(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		r.during("others meddle", func() {
			var foreign []client.Object
			for _, w := range r.fleet {
				foreign = append(foreign, r.meddle(w)...)
				r.churn(2)
			}
			r.orphan(r.fleet[0])
			r.churn(4)
			r.happened("others created pods", len(foreign) >= 3*len(r.fleet))
			r.happened("names were taken", r.checkSquatters(foreign) > 0)
			for _, object := range foreign {
				r.Must(client.IgnoreNotFound(r.Delete(r.T.Context(), object, client.GracePeriodSeconds(0))))
			}
			r.deleteReleased()
		})
	}}.test(t)
}

// checkSquatters fails the test unless the pods with taken names are as they were, and counts them.
func (r *run) checkSquatters(foreign []client.Object) int {
	r.T.Helper()
	squatters := 0
	for _, object := range foreign {
		if object.GetAnnotations()[actor] != "squatter" {
			continue
		}
		squatters++
		var now corev1.Pod
		if err := r.Get(r.T.Context(), client.ObjectKeyFromObject(object), &now); err != nil || now.UID != object.GetUID() || now.DeletionTimestamp != nil {
			r.T.Errorf("S5: another owner's pod %s was changed: %v", object.GetName(), err)
		}
	}
	return squatters
}

// deleteReleased deletes the pods that lost their DaemonSet because their labels were changed.
func (r *run) deleteReleased() {
	r.T.Helper()
	r.Must(r.DeleteAllOf(r.T.Context(), &corev1.Pod{}, client.InNamespace(labtest.Namespace), client.MatchingLabels{"app": "other"}, client.GracePeriodSeconds(0)))
}

// actor is an annotation of what others create.
const actor = "faults.example.com/actor"

// meddle does what others may do to a DaemonSet, and returns what they created.
func (r *run) meddle(w *labtest.Workload) []client.Object {
	r.T.Helper()
	node := r.aNode()
	pod := r.podOn(w, node)
	var created []client.Object
	create := func(by string, change func(*corev1.Pod)) {
		other := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, GenerateName: by + "-", Annotations: map[string]string{actor: by}},
			Spec:       corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{Name: "main", Image: "example.com/other"}}},
		}
		change(other)
		if err := r.Create(r.T.Context(), other); err == nil {
			created = append(created, other)
		}
	}
	// A pod with a controller of its own takes both names that the pod's successor would have.
	workload := daemon.FromEverynode(&w.DaemonSet)
	if w.Kind == labtest.Apps {
		workload = daemon.FromApps(r.native(w))
	}
	for _, name := range daemon.NewTemplate(workload, "").PodNames(node, string(pod.UID)) {
		create("squatter", func(other *corev1.Pod) { other.Name, other.GenerateName = name, "" })
	}
	create("namesake", func(other *corev1.Pod) { other.Labels = pod.Labels; other.OwnerReferences = foreignOwner() })
	create("twin", func(other *corev1.Pod) {
		other.Labels = pod.Labels
		other.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(w, w.Kind)}
		other.Spec.SchedulerName = v1alpha1.SchedulerName
		daemon.Pin(&other.Spec, node)
	})
	r.Must(client.IgnoreNotFound(r.Delete(r.T.Context(), &pod)))
	r.corrupt(w)
	return created
}

func foreignOwner() []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: "example.com/v1", Kind: "Thing", Name: "thing", UID: "0d3a1c5e-0000-4000-8000-000000000001", Controller: new(true),
	}}
}

// native reads a native DaemonSet.
func (r *run) native(w *labtest.Workload) *appsv1.DaemonSet {
	r.T.Helper()
	set := &appsv1.DaemonSet{}
	r.Must(r.Get(r.T.Context(), client.ObjectKeyFromObject(&w.DaemonSet), set))
	return set
}

// corrupt removes the label or the owner of a random pod.
func (r *run) corrupt(w *labtest.Workload) {
	r.T.Helper()
	patches := []string{
		`{"metadata":{"labels":{"controller-revision-hash":null}}}`, `{"metadata":{"labels":{"app":"other"}}}`, `{"metadata":{"ownerReferences":null}}`,
	}
	pods, err := r.PodsOf(r.T.Context(), w)
	r.Must(err)
	if len(pods) == 0 {
		return
	}
	patch := patches[r.rng.IntN(len(patches))]
	r.Must(client.IgnoreNotFound(r.Patch(r.T.Context(), &pods[r.rng.IntN(len(pods))], client.RawPatch(types.MergePatchType, []byte(patch)))))
}

// orphan deletes a DaemonSet without its pods, and creates it again.
func (r *run) orphan(w *labtest.Workload) {
	r.T.Helper()
	again := w.DeepCopy()
	r.Must(r.ReadWorkload(r.T.Context(), w))
	again.ObjectMeta = metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}
	again.Spec = w.Spec
	r.Must(r.Delete(r.T.Context(), objectOf(w), client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	r.Eventually(w.Name+" is gone", func(ctx context.Context) (string, error) {
		object := objectOf(w)
		if err := r.Get(ctx, client.ObjectKeyFromObject(object), object); client.IgnoreNotFound(err) != nil || err == nil {
			return "it still exists", err
		}
		return "", nil
	})
	*w = *r.MakeWorkload(w.Kind, again)
}
