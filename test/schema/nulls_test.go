package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kjson "sigs.k8s.io/json"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// The schema and the Go types have the same fields, so no field of apps/v1
// is unknown here.
func TestSchemaHasEveryField(t *testing.T) {
	mustServer(t).visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		goType, err := typeAt(at)
		if err != nil {
			t.Fatal(err)
		}
		if len(schema.Properties) == 0 {
			return
		}
		want, got := slices.Sorted(maps.Keys(fieldsOf(goType))), slices.Sorted(maps.Keys(schema.Properties))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: fields (-%s, +schema):\n%s", at, goType, diff)
		}
	})
}

// applied is what server-side apply validates: unlike create and update it drops no nulls.
func (s *server) applied(object map[string]any) error {
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(encode(object), &content); err != nil {
		return err
	}
	defaulting.Default(content, s.schema)
	pruning.Prune(content, s.schema, true)
	content["metadata"] = map[string]any{"name": "agent", "namespace": "default"}
	return s.strategy.Validate(inNamespace(), &unstructured.Unstructured{Object: content}).ToAggregate()
}

// Null at every place that is optional is accepted, also by server-side apply, and is the same revision
// as an absent field.
func TestNullIsAbsent(t *testing.T) {
	s := mustServer(t)
	tried := 0
	s.visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		if at[0] != "spec" || !schema.Nullable && schema.Default == nil || ruled(at) {
			return
		}
		tried++
		object := s.with(least(), at, nil)
		if err := s.applied(object); err != nil {
			t.Errorf("%s: null is refused: %v", at, err)
			return
		}
		if last := at[len(at)-1]; last == "[]" || last == "{}" {
			return // one empty item
		}
		stored, err := s.create(encode(object))
		if err != nil {
			t.Errorf("%s: create: %v", at, err)
			return
		}
		without, err := s.create(encode(absent(s.with(least(), at, nil), at)))
		if err != nil {
			t.Fatalf("%s: absent: %v", at, err)
		}
		if null, none := revision(t, stored), revision(t, without); null != none {
			t.Errorf("%s: revision %s with null, %s when absent", at, null, none)
		}
	})
	t.Logf("%d places", tried)
	if tried < 1000 {
		t.Error("too few to prove anything")
	}
}

// absent removes a property from a document.
func absent(document map[string]any, at place) map[string]any {
	var here any = document
	for _, step := range at[:len(at)-1] {
		switch object := here.(type) {
		case []any:
			here = object[0]
		case map[string]any:
			if step == "{}" {
				step = "key"
			}
			here = object[step]
		}
	}
	delete(here.(map[string]any), at[len(at)-1])
	return document
}

func revision(t *testing.T, stored []byte) string {
	t.Helper()
	var set v1alpha1.DaemonSet
	if err := json.Unmarshal(stored, &set); err != nil {
		t.Fatal(err)
	}
	id, err := daemon.Identify(daemon.FromEverynode(&set))
	if err != nil {
		t.Fatal(err)
	}
	return id.Revision
}

// On an API server: objects with nulls in all optional fields that apps/v1 accepts are accepted here, by
// create, merge patch and server-side apply.
func TestNullsOnAnAPIServer(t *testing.T) {
	s := mustServer(t)
	c := labtest.Start(t, lab.Options{Placement: "direct", Without: []string{lab.Controller, lab.EverynodeScheduler}})
	for _, version := range []string{"apps/v1", v1alpha1.GroupVersion.String()} {
		c.Must(c.Create(t.Context(), versioned(least(), version, "stored")))
	}
	seen, accepted := map[string]bool{}, 0
	s.visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		goType, err := typeAt(at)
		if err != nil || at[0] != "spec" || len(schema.Properties) == 0 || len(at) < 4 || seen[goType.String()] {
			return
		}
		seen[goType.String()] = true
		object := s.with(least(), at, nulls(schema))
		for way, write := range ways {
			if write(c, versioned(object, "apps/v1", "stored")) != nil {
				continue
			}
			accepted++
			if err := write(c, versioned(object, v1alpha1.GroupVersion.String(), "stored")); err != nil {
				t.Errorf("%s: %s: %v", at, way, err)
			}
		}
	})
	t.Logf("%d kinds of objects, %d writes that apps/v1 accepts", len(seen), accepted)
	if accepted < 60 {
		t.Error("too few to prove anything")
	}
}

// nulls returns an object with its required fields, and null in all others.
func nulls(schema *apiextensions.JSONSchemaProps) map[string]any {
	object := sample(schema).(map[string]any)
	for name := range schema.Properties {
		if _, required := object[name]; !required {
			object[name] = nil
		}
	}
	return object
}

func versioned(object map[string]any, version, name string) *unstructured.Unstructured {
	object = maps.Clone(object)
	object["apiVersion"], object["metadata"] = version, map[string]any{"name": name, "namespace": labtest.Namespace}
	return &unstructured.Unstructured{Object: object}
}

// ways are the three ways of writing; nothing is stored.
var ways = map[string]func(*labtest.Cluster, *unstructured.Unstructured) error{
	"create": func(c *labtest.Cluster, object *unstructured.Unstructured) error {
		object.SetName("created")
		return c.Create(c.T.Context(), object, client.DryRunAll, client.FieldValidation("Strict"))
	},
	"merge patch": func(c *labtest.Cluster, object *unstructured.Unstructured) error {
		return c.Patch(c.T.Context(), object, client.RawPatch(types.MergePatchType, encode(object.Object)), client.DryRunAll, client.FieldValidation("Strict"))
	},
	"apply": func(c *labtest.Cluster, object *unstructured.Unstructured) error {
		return c.Patch(c.T.Context(), object, client.RawPatch(types.ApplyPatchType, encode(object.Object)), client.DryRunAll, client.ForceOwnership, client.FieldOwner("test"))
	},
}

// Two managers of one list: where the list is keyed, each owns its entries.
func TestManagersShareLists(t *testing.T) {
	s := mustServer(t)
	c := labtest.Start(t, lab.Options{Placement: "direct", Without: []string{lab.Controller, lab.EverynodeScheduler}})
	apply := func(object map[string]any, manager string) *unstructured.Unstructured {
		applied := versioned(object, v1alpha1.GroupVersion.String(), "shared")
		c.Must(c.Patch(t.Context(), applied, client.RawPatch(types.ApplyPatchType, encode(applied.Object)), client.ForceOwnership, client.FieldOwner(manager)))
		return applied
	}
	first := s.with(least(), at(container+"env"), json.RawMessage(`[{"name":"MODE","value":"cache"}]`))
	first = s.with(first, at(container+"ports"), json.RawMessage(`[{"name":"tls","containerPort":4443,"hostPort":14443},{"name":"alt","containerPort":4443,"hostPort":24443}]`))
	apply(first, "platform")
	var second map[string]any
	c.Must(json.Unmarshal([]byte(`{"kind":"DaemonSet","spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"HTTPS_PROXY","value":"http://proxy.example.com"}]}]}}}}`), &second))
	apply(second, "proxy")
	last := apply(first, "platform")
	if got := string(encode(last.Object["spec"])); !strings.Contains(got, "HTTPS_PROXY") || !strings.Contains(got, `"MODE"`) || !strings.Contains(got, "24443") {
		t.Errorf("entries of the managers are missing: %s", got)
	}
}
