package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// onceAtomic are the lists that were atomic in the first release's CRD.
var onceAtomic = []string{"env", "imagePullSecrets", "hostAliases", "finalizers", "evictionResponders"}

// crdSpec returns the CRD's spec, unchanged or with the lists of the first release.
func crdSpec(t *testing.T, former bool) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	if former {
		if changed := unkey(crd); changed < len(onceAtomic) {
			t.Fatalf("%d lists were atomic; want at least one of each name", changed)
		}
	}
	return crd["spec"].(map[string]any)
}

// unkey makes the formerly atomic lists atomic again, and returns their number.
func unkey(value any) (changed int) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			changed += unkey(item)
		}
	case map[string]any:
		for name, child := range value {
			list, ok := child.(map[string]any)
			if ok && slices.Contains(onceAtomic, name) && list["x-kubernetes-list-type"] != nil {
				delete(list, "x-kubernetes-list-type")
				delete(list, "x-kubernetes-list-map-keys")
				changed++
			}
			changed += unkey(child)
		}
	}
	return changed
}

// serve updates the CRD, and waits until it is effective for writes.
func serve(c *labtest.Cluster, t *testing.T, former bool) {
	t.Helper()
	served := "today's"
	if former {
		served = "the former"
	}
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	c.Must(c.Get(t.Context(), client.ObjectKey{Name: "daemonsets." + v1alpha1.GroupName}, crd))
	crd.Object["spec"].(map[string]any)["versions"] = crdSpec(t, former)["versions"]
	c.Must(c.Update(t.Context(), crd))
	twice := versioned(shaped(t, `{"env":[{"name":"A"},{"name":"A"}]}`, `{}`), v1alpha1.GroupVersion.String(), "twice")
	c.Eventually(served+" CRD is served", func(ctx context.Context) (string, error) {
		err := c.Create(ctx, twice.DeepCopy(), client.DryRunAll)
		if accepted := err == nil; accepted != former {
			return "another one is served", nil
		}
		return "", nil
	})
}

// shaped returns a DaemonSet with more fields in its container and in its pod.
func shaped(t *testing.T, container, pod string) map[string]any {
	t.Helper()
	object := least()
	into := func(raw string, target map[string]any) {
		if err := json.Unmarshal([]byte(raw), &target); err != nil {
			t.Fatal(err)
		}
	}
	spec := object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	into(container, spec["containers"].([]any)[0].(map[string]any))
	into(pod, spec)
	return object
}

// listed returns the entries' names in each of the formerly atomic lists of a stored object.
func listed(c *labtest.Cluster, t *testing.T, name string) map[string]string {
	t.Helper()
	var set v1alpha1.DaemonSet
	c.Must(c.Get(t.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: name}, &set))
	found, template := map[string][]string{"finalizers": set.Spec.Template.Finalizers}, &set.Spec.Template
	for _, variable := range template.Spec.Containers[0].Env {
		found["env"] = append(found["env"], variable.Name+"="+variable.Value)
	}
	for _, secret := range template.Spec.ImagePullSecrets {
		found["imagePullSecrets"] = append(found["imagePullSecrets"], secret.Name)
	}
	for _, alias := range template.Spec.HostAliases {
		found["hostAliases"] = append(found["hostAliases"], alias.IP)
	}
	for _, responder := range template.Spec.EvictionResponders {
		found["evictionResponders"] = append(found["evictionResponders"], responder.Name)
	}
	lists := map[string]string{}
	for name := range found {
		slices.Sort(found[name])
		lists[name] = strings.Join(found[name], " ")
	}
	return lists
}

// names returns the result of listed for entries, each with a variable's name and value.
func names(entries ...string) map[string]string {
	lists := map[string]string{"env": strings.Join(entries, " ")}
	var hosts, domains, plain []string
	for _, entry := range entries {
		name, _, _ := strings.Cut(entry, "=")
		hosts, domains, plain = append(hosts, host(name)), append(domains, domain(name)), append(plain, name)
	}
	slices.Sort(hosts)
	lists["hostAliases"], lists["imagePullSecrets"] = strings.Join(hosts, " "), strings.Join(plain, " ")
	lists["finalizers"], lists["evictionResponders"] = strings.Join(domains, " "), strings.Join(domains, " ")
	return lists
}

func host(name string) string   { return fmt.Sprintf("10.0.0.%d", name[0]) }
func domain(name string) string { return "example.com/" + name }

// having returns a DaemonSet with entries in each of the lists, as a manager applies it.
func having(t *testing.T, entries ...string) map[string]any {
	t.Helper()
	var env, aliases, secrets, finalizers, responders []any
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		env = append(env, map[string]any{"name": name, "value": value})
		aliases = append(aliases, map[string]any{"ip": host(name), "hostnames": []any{"a-" + value}})
		secrets = append(secrets, map[string]any{"name": name})
		finalizers = append(finalizers, domain(name))
		responders = append(responders, map[string]any{"name": domain(name), "priority": 1})
	}
	pod := map[string]any{"hostAliases": aliases, "imagePullSecrets": secrets, "evictionResponders": responders}
	object := shaped(t, string(encode(map[string]any{"env": env})), string(encode(pod)))
	object["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["finalizers"] = finalizers
	return object
}

// A DaemonSet that was written by server-side apply with the first release's CRD, in which five lists were
// atomic, survives the CRD's update and downgrade: nothing is lost, and once its manager has applied the same
// manifest again, entries that the manager removes are removed.
func TestOwnershipOutlivesTheCRD(t *testing.T) {
	o := owners{labtest.Start(t, lab.Options{Placement: "direct", Without: []string{lab.Controller, lab.EverynodeScheduler}}), t}
	serve(o.Cluster, t, true)
	for _, name := range []string{"alone", "shared", "agreed", "hasty"} {
		o.Must(o.apply(name, "platform", "a=1", "b=1"))
	}
	o.Must(o.apply("agreed", "tenant", "a=1", "b=1"))
	serve(o.Cluster, t, false)
	o.updated()
	serve(o.Cluster, t, true)
	o.wentBack()
	serve(o.Cluster, t, false)
	o.Must(o.apply("alone", "platform", "a=3", "d=3"))
	o.Must(o.apply("alone", "platform", "a=1"))
	o.holds("after the second update", "alone", "a=1")
	o.Must(o.apply("shared", "injector", "x=1"))
	o.holds("after the second update", "shared", "a=2", "c=2", "x=1")
}

// owners writes as several managers.
type owners struct {
	*labtest.Cluster
	t *testing.T
}

func (o owners) apply(name, manager string, entries ...string) error {
	return o.patch(name, manager, having(o.t, entries...))
}

func (o owners) patch(name, manager string, object map[string]any, options ...client.PatchOption) error {
	applied := versioned(object, v1alpha1.GroupVersion.String(), name)
	return o.Patch(o.t.Context(), applied, client.RawPatch(types.ApplyPatchType, encode(applied.Object)), append(options, client.FieldOwner(manager))...)
}

func (o owners) holds(when, name string, entries ...string) {
	o.t.Helper()
	if diff := cmp.Diff(names(entries...), listed(o.Cluster, o.t, name)); diff != "" {
		o.t.Errorf("%s, %q has (-want, +got):\n%s", when, name, diff)
	}
}

// updated tests the writes of managers after atomic lists became keyed.
func (o owners) updated() {
	for _, name := range []string{"alone", "shared"} {
		o.Must(o.apply(name, "platform", "a=1", "b=1"))
	}
	o.Must(o.apply("alone", "platform", "a=2", "c=2"))
	o.holds("after the update", "alone", "a=2", "c=2")
	o.Must(o.apply("shared", "injector", "x=1"))
	o.holds("with a second manager", "shared", "a=1", "b=1", "x=1")
	o.Must(o.apply("shared", "platform", "a=2", "c=2"))
	o.holds("with a second manager, changed by the first", "shared", "a=2", "c=2", "x=1")

	o.Must(o.apply("agreed", "platform", "a=1", "b=1"))
	o.Must(o.apply("agreed", "tenant", "a=1", "b=1"))
	o.Must(o.apply("agreed", "platform", "a=1"))
	o.holds("removed by one of two managers", "agreed", "a=1", "b=1")
	o.Must(o.apply("agreed", "tenant", "a=1"))
	o.holds("removed by both", "agreed", "a=1")

	// The API server does not infer who owns entries of a list that was owned as a whole (its
	// documentation of server-side apply, "Compatibility across topology changes").
	o.Must(o.apply("hasty", "platform", "a=2"))
	o.holds("an entry removed by the first apply stays", "hasty", "a=2", "b=1")
}

// wentBack tests the writes of managers after keyed lists became atomic again.
func (o owners) wentBack() {
	o.holds("after the downgrade", "shared", "a=2", "c=2", "x=1")
	o.Must(o.apply("alone", "platform", "a=3", "d=3"))
	o.holds("after the downgrade", "alone", "a=3", "d=3")
	if err := o.apply("shared", "platform", "a=2", "c=2"); !apierrors.IsConflict(err) {
		o.t.Errorf("atomic lists in which another manager has entries: %v, want a conflict", err)
	}
	o.holds("after a conflict", "shared", "a=2", "c=2", "x=1")
	o.Must(o.patch("shared", "platform", having(o.t, "a=2", "c=2"), client.ForceOwnership))
	o.holds("after the downgrade, by force", "shared", "a=2", "c=2")
}

// Two entries of one key that were stored while the list was atomic do not prevent changes of
// other fields, applying, or the removal of one of them.
func TestStoredDuplicatesStayCorrectable(t *testing.T) {
	c := labtest.Start(t, lab.Options{Placement: "direct", Without: []string{lab.Controller, lab.EverynodeScheduler}})
	serve(c, t, true)
	for _, name := range []string{"applied", "updated"} {
		object := versioned(having(t, "a=1", "a=2"), v1alpha1.GroupVersion.String(), name)
		c.Must(c.Patch(t.Context(), object, client.RawPatch(types.ApplyPatchType, encode(object.Object)), client.FieldOwner("platform")))
	}
	serve(c, t, false)
	var stored v1alpha1.DaemonSet
	c.Must(c.Get(t.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: "updated"}, &stored))
	stored.Status.ObservedGeneration = 1
	c.Must(c.Status().Update(t.Context(), &stored))
	stored.Spec.Template.Spec.Containers[0].Image = "another"
	c.Must(c.Update(t.Context(), &stored))
	template := &stored.Spec.Template
	template.Finalizers = template.Finalizers[:1]
	template.Spec.Containers[0].Env, template.Spec.HostAliases = template.Spec.Containers[0].Env[:1], template.Spec.HostAliases[:1]
	template.Spec.ImagePullSecrets, template.Spec.EvictionResponders = template.Spec.ImagePullSecrets[:1], template.Spec.EvictionResponders[:1]
	c.Must(c.Update(t.Context(), &stored))
	object := versioned(having(t, "a=2"), v1alpha1.GroupVersion.String(), "applied")
	c.Must(c.Patch(t.Context(), object, client.RawPatch(types.ApplyPatchType, encode(object.Object)), client.FieldOwner("platform")))
	for name, want := range map[string]string{"updated": "a=1", "applied": "a=2"} {
		if diff := cmp.Diff(names(want), listed(c, t, name)); diff != "" {
			t.Errorf("%s: (-want, +got):\n%s", name, diff)
		}
	}
}
