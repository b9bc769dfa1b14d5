package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const nodes = 2

// hostile are invalid DaemonSets, as patches of a valid one, with the reason of the condition.
func hostile() map[string]struct{ patch, reason string } {
	limits := func(quantity string) string {
		return fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.com/x","resources":{"limits":{"cpu":%q}}}]}}}}`, quantity)
	}
	return map[string]struct{ patch, reason string }{
		"small-exponent":  {limits("1e-40000000"), "SpecUndecodable"},
		"large-exponent":  {limits("1e30000000"), "SpecUndecodable"},
		"beyond-int64":    {limits("1e99999999999999999999"), "SpecUndecodable"},
		"int-or-string":   {`{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":5000000000}}}}`, "SpecUndecodable"},
		"int32":           {`{"spec":{"minReadySeconds":5000000000}}`, "SpecUndecodable"},
		"another-type":    {`{"spec":{"template":{"spec":{"containers":"none"}}}}`, "SpecUndecodable"},
		"empty-items":     {`{"spec":{"template":{"spec":{"containers":[` + strings.Repeat(`{},`, 100000) + `{}]}}}}`, "SpecUndecodable"},
		"selector-key":    {`{"spec":{"selector":{"matchLabels":{"a b":"x"}}}}`, "InvalidSelector"},
		"selector-empty":  {`{"spec":{"selector":{"matchLabels":null}}}`, "InvalidSelector"},
		"selector-others": {`{"spec":{"selector":{"matchLabels":{"app":"others"}}}}`, "SelectorMismatch"},
	}
}

var setKind = v1alpha1.DaemonSetKind

// TestHostile stores hostile objects while the CRD has no bounds and there is no webhook, as with the
// CRD of another version. Other users' DaemonSets must not be affected.
func TestHostile(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: nodes, Placement: lab.PlacementDirect})
	unbound(c)
	right := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("right"))
	before := c.WaitForPods(right, labtest.NodeNames(nodes)...)
	stored := map[string]*unstructured.Unstructured{}
	for name, is := range hostile() {
		stored[name] = store(c, name, is.patch)
	}
	revisions(c, right)

	for name, is := range hostile() {
		degraded(c, name, is.reason)
	}
	deletedBeside(c)
	others(c, "others-first")
	c.Must(c.Component(lab.Controller).Restart(t.Context()))
	others(c, "others-second")
	ready(c, "")
	for name, object := range stored {
		untouched(c, object)
		if events := eventsOf(c, object.GetUID()); len(events) != 1 {
			t.Errorf("%s has %d events, want one: %v", name, len(events), events)
		}
	}

	breakAndFix(c, right, before)
	remove(c)
	c.NothingForbidden()
}

// unbound makes the API server accept anything in spec.
func unbound(c *labtest.Cluster) {
	c.T.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("daemonsets.everynode.dev")
	anything := `{"type":"object","x-kubernetes-preserve-unknown-fields":true}`
	patch := `[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema","value":{"type":"object","properties":{"spec":` + anything + `,"status":` + anything + `}}}]`
	c.Must(c.Patch(c.T.Context(), crd, client.RawPatch(types.JSONPatchType, []byte(patch))))
	c.Eventually("the CRD has no bounds", func(ctx context.Context) (string, error) {
		probe := object("probe", `{"spec":{"minReadySeconds":5000000000}}`)
		return "", c.Create(ctx, probe, client.DryRunAll)
	})
}

// object returns a valid DaemonSet with a patch applied. It is not decoded here.
func object(name, patch string) *unstructured.Unstructured {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(labtest.DaemonSet(name))
	if err != nil {
		panic(err)
	}
	var change map[string]any
	if err := json.Unmarshal([]byte(patch), &change); err != nil {
		panic(err)
	}
	delete(fields, "status")
	merge(fields, change)
	set := &unstructured.Unstructured{Object: fields}
	set.SetGroupVersionKind(setKind)
	return set
}

// merge applies a merge patch, and keeps whole numbers.
func merge(into, change map[string]any) {
	for name, value := range change {
		inner, isMap := value.(map[string]any)
		was, wasMap := into[name].(map[string]any)
		switch number, isNumber := value.(float64); {
		case isMap && wasMap:
			merge(was, inner)
		case value == nil:
			delete(into, name)
		case isNumber:
			into[name] = int64(number)
		default:
			into[name] = value
		}
	}
}

func store(c *labtest.Cluster, name, patch string) *unstructured.Unstructured {
	c.T.Helper()
	set := object(name, patch)
	c.Must(c.Create(c.T.Context(), set))
	return set
}

// read returns a DaemonSet as it is stored.
func read(ctx context.Context, c *labtest.Cluster, name string) (*unstructured.Unstructured, error) {
	set := &unstructured.Unstructured{}
	set.SetGroupVersionKind(setKind)
	return set, c.Get(ctx, client.ObjectKey{Namespace: labtest.Namespace, Name: name}, set)
}

// condition returns a condition of a DaemonSet, as status and reason.
func condition(set *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(set.Object, "status", "conditions")
	for _, of := range conditions {
		if is, ok := of.(map[string]any); ok && is["type"] == kind {
			return fmt.Sprintf("%s %s", is["status"], is["reason"])
		}
	}
	return ""
}

// degraded waits until a DaemonSet reports, for its current generation, why it is not served.
func degraded(c *labtest.Cluster, name, reason string) {
	c.T.Helper()
	c.Eventually(name+" is Degraded: "+reason, func(ctx context.Context) (string, error) {
		set, err := read(ctx, c, name)
		if err != nil {
			return "", err
		}
		observed, _, _ := unstructured.NestedInt64(set.Object, "status", "observedGeneration")
		for kind, want := range map[string]string{"Degraded": "True ", "Stalled": "True ", "Available": "Unknown "} {
			if got := condition(set, kind); got != want+reason {
				return fmt.Sprintf("%s is %q", kind, got), nil
			}
		}
		if observed != set.GetGeneration() {
			return fmt.Sprintf("for generation %d", observed), nil
		}
		return "", nil
	})
}

// others creates another user's daemon, which has to become available.
func others(c *labtest.Cluster, name string) {
	c.T.Helper()
	set := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet(name))
	c.WaitForPods(set, labtest.NodeNames(nodes)...)
	c.WaitForWorkload(set, "it is available", func(status *v1alpha1.DaemonSetStatus) bool { return status.NumberAvailable == nodes })
}

// deletedBeside deletes a DaemonSet while hostile ones are stored: its pods disappear, and none is created meanwhile (S8).
func deletedBeside(c *labtest.Cluster) {
	c.T.Helper()
	witness := c.Watch(labtest.Everynode)
	set := c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("deleted"))
	c.WaitForPods(set, labtest.NodeNames(nodes)...)
	mark := c.Mark(witness)
	c.DeleteWorkload(set)
	for _, deed := range c.Since(witness, mark) {
		if deed.Daemon == set.UID && deed.Made {
			c.T.Errorf("pod %s was created for a DaemonSet that was deleted", deed.Pod)
		}
	}
	c.Verdict(witness, nodes)
}

// untouched verifies that only the status of the stored objects was written.
func untouched(c *labtest.Cluster, was *unstructured.Unstructured) {
	c.T.Helper()
	now, err := read(c.T.Context(), c, was.GetName())
	c.Must(err)
	before, _ := json.Marshal(was.Object["spec"])
	after, _ := json.Marshal(now.Object["spec"])
	if string(before) != string(after) || now.GetGeneration() != was.GetGeneration() {
		c.T.Errorf("the spec of %s was written: %.300s", was.GetName(), after)
	}
	var pods corev1.PodList
	c.Must(c.List(c.T.Context(), &pods, client.InNamespace(labtest.Namespace)))
	for i := range pods.Items {
		if metav1.IsControlledBy(&pods.Items[i], now) {
			c.T.Errorf("%s has pod %s", was.GetName(), pods.Items[i].Name)
		}
	}
}

func eventsOf(c *labtest.Cluster, uid types.UID) (found []string) {
	c.T.Helper()
	var events corev1.EventList
	c.Must(c.List(c.T.Context(), &events, client.InNamespace(labtest.Namespace)))
	for i := range events.Items {
		if event := &events.Items[i]; event.InvolvedObject.UID == uid {
			found = append(found, fmt.Sprintf("%s: %.100s (%d)", event.Reason, event.Message, event.Count))
		}
	}
	return found
}

// revisions stores ControllerRevisions with hostile data: one that a daemon controls, and one
// that it may adopt.
func revisions(c *labtest.Cluster, of *labtest.Workload) {
	c.T.Helper()
	for name, quantity := range map[string]string{"small": "1e-40000000", "large": "1e30000000"} {
		data := fmt.Sprintf(`{"spec":{"template":{"$patch":"replace","spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":%q}}}]}}}}`, quantity)
		for _, owned := range []bool{true, false} {
			revision := &appsv1.ControllerRevision{
				ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: fmt.Sprintf("%s-%s-%t", of.Name, name, owned), Labels: of.Spec.Template.Labels},
				Data:       runtime.RawExtension{Raw: []byte(data)}, Revision: 7,
			}
			if owned {
				revision.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(of, setKind)}
			}
			c.Must(c.Create(c.T.Context(), revision))
		}
	}
}

// breakAndFix makes a daemon's spec invalid, and then valid again: no pod is changed.
func breakAndFix(c *labtest.Cluster, set *labtest.Workload, before map[string]corev1.Pod) {
	c.T.Helper()
	patch := func(text string) {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(setKind)
		object.SetNamespace(set.Namespace)
		object.SetName(set.Name)
		c.Must(c.Patch(c.T.Context(), object, client.RawPatch(types.MergePatchType, []byte(text))))
	}
	patch(`{"spec":{"minReadySeconds":5000000000}}`)
	degraded(c, set.Name, "SpecUndecodable")
	same(c, set, before)
	patch(`{"spec":{"minReadySeconds":0}}`)
	c.Eventually("it is served again", func(ctx context.Context) (string, error) {
		now, err := read(ctx, c, set.Name)
		if got := condition(now, "Degraded") + ", " + condition(now, "Stalled"); err != nil || got != "False AsExpected, " {
			return got, err
		}
		return "", nil
	})
	same(c, set, before)
}

// same verifies that a daemon has the same pods as before.
func same(c *labtest.Cluster, set *labtest.Workload, before map[string]corev1.Pod) {
	c.T.Helper()
	for node, pod := range c.WaitForPods(set, labtest.NodeNames(nodes)...) {
		if pod.UID != before[node].UID {
			c.T.Errorf("the pod on %s was replaced", node)
		}
	}
}

// remove deletes DaemonSets that cannot be decoded, in the foreground, and waits until they are gone.
func remove(c *labtest.Cluster) {
	c.T.Helper()
	for name := range hostile() {
		set := object(name, `{}`)
		c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationForeground)))
		c.Eventually(name+" is gone", func(ctx context.Context) (string, error) {
			_, err := read(ctx, c, name)
			if apierrors.IsNotFound(err) {
				return "", nil
			}
			return "it still exists", err
		})
	}
}

// ready waits until the controller's /readyz succeeds or, with the name of a check, until that check fails.
func ready(c *labtest.Cluster, failing string) {
	c.T.Helper()
	c.Eventually("/readyz reports "+failing, func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Component(lab.Controller).Address()+"/readyz", nil)
		if err != nil {
			return "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err.Error(), nil
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if failing == "" && response.StatusCode == http.StatusOK || failing != "" && strings.Contains(string(body), "[-]"+failing+" failed") {
			return "", err
		}
		return fmt.Sprintf("%s: %s", response.Status, body), err
	})
}

// TestCacheThatIsNotFilled removes the permission to list a kind: a controller that is started then is alive,
// not ready, and names the kind; once it has the permission, it works.
func TestCacheThatIsNotFilled(t *testing.T) {
	c := labtest.Start(t, lab.Options{Nodes: 1, Placement: lab.PlacementDirect})
	ready(c, "")
	var role rbacv1.ClusterRole
	c.Must(c.Get(t.Context(), client.ObjectKey{Name: "everynode-controller"}, &role))
	without := role.DeepCopy()
	without.Rules = nil
	for _, rule := range role.Rules {
		if strings.Join(rule.Resources, ",") != "resourcequotas" && !strings.Contains(strings.Join(rule.Resources, ","), "resourcequotas") {
			without.Rules = append(without.Rules, rule)
		}
	}
	if len(without.Rules) == len(role.Rules) {
		t.Fatalf("no rule is about resourcequotas: %+v", role.Rules)
	}
	c.Must(c.Update(t.Context(), without))
	controller := c.Component(lab.Controller)
	c.Must(controller.Stop(t.Context()))
	go func() { _ = controller.Restart(t.Context()) }() // waits until it is ready
	ready(c, "cache-ResourceQuota")
	response, err := http.Get("http://" + controller.Address() + "/healthz")
	c.Must(err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", response.Status)
	}
	if got := metric(c, `everynode_cache_synced{kind="ResourceQuota"}`); got != "0" {
		t.Errorf("the metric is %q", got)
	}
	c.Must(c.Get(t.Context(), client.ObjectKeyFromObject(without), without))
	without.Rules = role.Rules
	c.Must(c.Update(t.Context(), without))
	ready(c, "")
	if got := metric(c, `everynode_cache_synced{kind="ResourceQuota"}`); got != "1" {
		t.Errorf("the metric is %q", got)
	}
	c.WaitForPods(c.MakeWorkload(labtest.Everynode, labtest.DaemonSet("works")), labtest.NodeNames(1)...)
}

// metric returns the value of a metric of the controller.
func metric(c *labtest.Cluster, name string) string {
	c.T.Helper()
	response, err := http.Get("http://" + c.Component(lab.Controller).PortAddress(1) + "/metrics")
	c.Must(err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	c.Must(err)
	for line := range strings.Lines(string(body)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
