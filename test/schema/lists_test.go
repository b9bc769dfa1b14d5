package schema

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// Managers of server-side apply share the lists that they share in apps/v1; docs/compatibility.md has the
// exceptions.
func TestListsAreShared(t *testing.T) {
	set := &appsv1.DaemonSet{}
	set.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	value, err := applyconfigurations.NewTypeConverter(scheme.Scheme).ObjectToTyped(set)
	if err != nil {
		t.Fatal(err)
	}
	inApps := func(at place) string {
		ref := value.TypeRef()
		for _, step := range at {
			atom, ok := value.Schema().Resolve(ref)
			switch {
			case ok && step == "[]" && atom.List != nil:
				ref = atom.List.ElementType
			case ok && step == "{}" && atom.Map != nil:
				ref = atom.Map.ElementType
			case ok && atom.Map != nil:
				field, _ := atom.FindField(step)
				ref = field.Type
			default:
				t.Fatalf("%s: apps/v1 has no %q", at, step)
			}
		}
		atom, ok := value.Schema().Resolve(ref)
		if !ok || atom.List == nil {
			t.Fatalf("%s: it is not a list in apps/v1", at)
		}
		return fmt.Sprint(atom.List.ElementRelationship, atom.Keys)
	}
	lists, differ := 0, map[string]string{}
	mustServer(t).visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		if at[0] != "spec" || schema.Type != "array" {
			return
		}
		lists++
		if own(at) {
			if schema.XListType == nil {
				t.Errorf("%s: it is not decided whether managers share the list", at)
			}
			return
		}
		here := "atomic[]"
		if schema.XListType != nil && *schema.XListType != "atomic" {
			here = fmt.Sprint("associative", schema.XListMapKeys)
		}
		if apps := inApps(at); apps != here {
			differ[at.String()] = apps + " in apps/v1, here " + here
		}
	})
	if lists < 100 {
		t.Errorf("%d lists are too few to prove anything", lists)
	}
	const ports, owners = "associative[containerPort protocol] in apps/v1, here atomic[]", "associative[uid] in apps/v1, here atomic[]"
	want := map[string]string{
		"spec.template.spec.containers[].ports":          ports,
		"spec.template.spec.initContainers[].ports":      ports,
		"spec.template.spec.ephemeralContainers[].ports": ports, // refused in a template
		// No pod gets them.
		"spec.template.metadata.ownerReferences":                                              owners,
		"spec.template.spec.volumes[].ephemeral.volumeClaimTemplate.metadata.ownerReferences": owners,
	}
	if diff := cmp.Diff(want, differ); diff != "" {
		t.Errorf("lists that differ (-want, +got):\n%s", diff)
	}
}
