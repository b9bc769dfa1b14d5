package privileges

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// target is an object that an account may change in part.
type target struct {
	account, policy string
	object          map[string]any
	// subresource through which it is changed; "" for the object itself.
	subresource string
	// updates means that RBAC permits update and not patch.
	updates bool
	// others means that the object is not the account's, which may not change it at all.
	others bool
	// may and mayNot are changes by their description.
	may, mayNot changes
}

// set returns a change of one field.
func set(value any, path ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
			panic(err)
		}
	}
}

// drop returns the removal of one field.
func drop(path ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) { unstructured.RemoveNestedField(object.Object, path...) }
}

// metadata are changes of metadata that other controllers act on. No account may make them.
var metadata = changes{
	"a label":              set("x", "metadata", "labels", "example.com/evil"),
	"an annotation":        set("x", "metadata", "annotations", "example.com/evil"),
	"a finalizer":          set([]any{"example.com/evil"}, "metadata", "finalizers"),
	"an owner":             set([]any{reference("v1", "ConfigMap")}, "metadata", "ownerReferences"),
	"a removed label":      drop("metadata", "labels", "app"),
	"a removed annotation": drop("metadata", "annotations", "example.com/note"),
	"a removed finalizer":  drop("metadata", "finalizers"),
	"another label":        set("y", "metadata", "labels", "app"),
}

// reference returns an owner reference to an object that does not exist.
func reference(apiVersion, kind string) map[string]any {
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "name": "evil", "uid": "0b8a7c1e-0000-4000-8000-000000000000"}
}

// of returns an object with metadata that must not change.
func of(apiVersion, kind, namespace, name string, rest map[string]any) map[string]any {
	object := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{
		"name": name, "labels": map[string]any{"app": "x"}, "annotations": map[string]any{"example.com/note": "x"}, "finalizers": []any{"example.com/kept"},
	}}
	if namespace != "" {
		object["metadata"].(map[string]any)["namespace"] = namespace
	}
	for key, value := range rest {
		object[key] = value
	}
	return object
}

// thiefOf returns a client with the token of an account.
func thiefOf(c *labtest.Cluster, account string) client.Client {
	c.T.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.Dir, "kubeconfigs", account))
	c.Must(err)
	thief, err := client.New(config, client.Options{Scheme: c.Scheme()})
	c.Must(err)
	return thief
}

// checkFields tries changes with each token of what its RBAC rules permit to patch or to update.
func checkFields(c *labtest.Cluster, targets map[string]target) {
	for name, target := range targets {
		thief := thiefOf(c, target.account)
		stored := target.store(c)
		forbidden := changes{}
		for what, change := range metadata {
			forbidden["metadata: "+what] = change
		}
		for what, change := range target.mayNot {
			forbidden[what] = change
		}
		if target.others {
			for what, change := range target.may {
				forbidden[what] = change
			}
		}
		waitForPolicy(c, target.policy, func(ctx context.Context) error { return target.try(ctx, thief, stored, metadata["a label"]) })
		for what, change := range forbidden {
			err := target.try(c.T.Context(), thief, stored, change)
			if wrong := answer(err, target.policy); wrong != "" && !errors.Is(err, errWithoutEffect) {
				c.T.Errorf("%s, %s: %s", name, what, wrong)
			}
		}
		for what, change := range target.may {
			if err := target.try(c.T.Context(), thief, stored, change); err != nil && !target.others {
				c.T.Errorf("%s: %s may not change %s, which it needs: %v", name, target.account, what, err)
			}
		}
		c.T.Logf("%s: %d changes are refused", name, len(forbidden))
	}
}

// waitForPolicy waits until a policy is effective, which requires that the API server's watch has delivered it.
func waitForPolicy(c *labtest.Cluster, policy string, theft func(context.Context) error) {
	c.T.Helper()
	c.Eventually(policy+" is effective", func(ctx context.Context) (string, error) {
		err := theft(ctx)
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
			c.T.Fatalf("the test's own request is invalid: %v", err)
		}
		return answer(err, policy), nil
	})
}

// answer returns what is wrong with an answer that has to be a policy's refusal.
func answer(err error, policy string) string {
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") {
		return fmt.Sprintf("answered %v, want a refusal by %s", err, policy)
	}
	return ""
}

// store creates the object, unless it exists.
func (t *target) store(c *labtest.Cluster) *unstructured.Unstructured {
	c.T.Helper()
	object := &unstructured.Unstructured{Object: t.object}
	object = object.DeepCopy()
	wanted := object.DeepCopy()
	if err := c.Create(c.T.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
		c.T.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(object), object))
	if status, ok := wanted.Object["status"]; ok {
		object.Object["status"] = status
		c.Must(c.Status().Update(c.T.Context(), object))
	}
	return object
}

// errWithoutEffect means that the API server itself ignores a change, from any client.
var errWithoutEffect = errors.New("the change has no effect")

// try tries a change in a dry run.
func (t *target) try(ctx context.Context, thief client.Client, stored *unstructured.Unstructured, change func(*unstructured.Unstructured)) error {
	object := stored.DeepCopy()
	change(object)
	if equality.Semantic.DeepEqual(object, stored) {
		return errors.New("the test changes nothing")
	}
	var err error
	switch {
	case t.updates:
		err = thief.Update(ctx, object, client.DryRunAll)
	case t.subresource != "":
		err = thief.SubResource(t.subresource).Patch(ctx, object, client.MergeFrom(stored), client.DryRunAll)
	default:
		err = thief.Patch(ctx, object, client.MergeFrom(stored), client.DryRunAll)
	}
	before := stored.DeepCopy()
	for _, each := range []*unstructured.Unstructured{before, object} {
		each.SetManagedFields(nil)
	}
	if err == nil && equality.Semantic.DeepEqual(object, before) {
		return errWithoutEffect
	}
	return err
}

// creation is an object that an account must not create.
type creation struct {
	account, policy string
	object          map[string]any
	// why is a part of the refusal.
	why string
}

// checkCreations tries with each token to create what its RBAC rules permit.
func checkCreations(c *labtest.Cluster, creations map[string]creation) {
	for name, creation := range creations {
		thief := thiefOf(c, creation.account)
		create := func(ctx context.Context) error {
			return thief.Create(ctx, (&unstructured.Unstructured{Object: creation.object}).DeepCopy(), client.DryRunAll)
		}
		waitForPolicy(c, creation.policy, create)
		if err := create(c.T.Context()); err == nil || !strings.Contains(err.Error(), creation.why) {
			c.T.Errorf("%s: answered %v, want: %s", name, err, creation.why)
		}
	}
}

// checkStatus tries to write metadata through the status of a DaemonSet of everynode.dev, where no policy is needed.
func checkStatus(c *labtest.Cluster) {
	c.T.Helper()
	thief := thiefOf(c, lab.Controller)
	set := labtest.DaemonSet("status")
	c.Make(set)
	before := set.DeepCopy()
	for what, change := range metadata {
		var now unstructured.Unstructured
		now.SetGroupVersionKind(labtest.Everynode)
		c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(set), &now))
		stored := now.DeepCopy()
		change(&now)
		c.Must(thief.Status().Patch(c.T.Context(), &now, client.MergeFrom(stored)))
		c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(set), set))
		if set.ResourceVersion != before.ResourceVersion {
			c.T.Errorf("%s was stored through the status of a DaemonSet of everynode.dev: %v", what, set.ObjectMeta)
		}
	}
}

// checkBinding verifies that a binding cannot add labels and annotations to a pod.
func checkBinding(c *labtest.Cluster) {
	c.T.Helper()
	thief := thiefOf(c, lab.EverynodeScheduler)
	pod := daemonsPod()
	pod.Name, pod.GenerateName = "bound", ""
	c.Make(pod)
	binding := func() *corev1.Binding {
		return &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: lab.NodeName(0)}}
	}
	for what, change := range map[string]func(*corev1.Binding){
		"a label":       func(b *corev1.Binding) { b.Labels = map[string]string{"app": "evil"} },
		"an annotation": func(b *corev1.Binding) { b.Annotations = map[string]string{"example.com/evil": "x"} },
	} {
		bind := func(ctx context.Context) error {
			evil := binding()
			change(evil)
			return thief.SubResource("binding").Create(ctx, pod.DeepCopy(), evil, client.DryRunAll)
		}
		c.T.Logf("a binding with %s", what)
		waitForPolicy(c, "everynode-scheduler-binds", bind)
	}
	c.Must(thief.SubResource("binding").Create(c.T.Context(), pod, binding(), client.DryRunAll))
}

// checkDeletions tries deletes that are not permitted.
func checkDeletions(c *labtest.Cluster) {
	c.T.Helper()
	critical := daemonsPod()
	critical.Name, critical.GenerateName, critical.Spec.PriorityClassName = "critical", "", "system-node-critical"
	record := &unstructured.Unstructured{Object: revisionOf("kept", controlledBy("apps/v1", "StatefulSet"))}
	claim := &unstructured.Unstructured{Object: of("resource.k8s.io/v1", "ResourceClaim", theirs, "kept", map[string]any{"spec": map[string]any{}})}
	c.Make(critical, record, claim)
	for policy, object := range map[string]client.Object{
		"everynode-scheduler-deletes": critical, "everynode-controller-revisions": record, "everynode-scheduler-devices": claim,
	} {
		thief := thiefOf(c, policy[:strings.LastIndex(policy, "-")])
		waitForPolicy(c, policy, func(ctx context.Context) error { return thief.Delete(ctx, object, client.DryRunAll) })
	}
}
