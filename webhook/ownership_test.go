package webhook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// managed adds managers of fields of the container "main", each "manager: fields".
func managed(operation metav1.ManagedFieldsOperationType, managers ...string) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		for _, entry := range managers {
			manager, fields, _ := strings.Cut(entry, ": ")
			set.ManagedFields = append(set.ManagedFields, metav1.ManagedFieldsEntry{
				Manager: manager, Operation: operation, APIVersion: "everynode.dev/v1alpha1", FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(fmt.Sprintf(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},%s}}}}}}`, fields)),
			})
		}
	}
}

func TestWarningsOfReplacedLists(t *testing.T) {
	const whole, image = `"f:ports":{}`, `"f:image":{}`
	applied := func(managers ...string) func(*v1alpha1.DaemonSet) {
		return managed(metav1.ManagedFieldsOperationApply, managers...)
	}
	updated := func(managers ...string) func(*v1alpha1.DaemonSet) {
		return managed(metav1.ManagedFieldsOperationUpdate, managers...)
	}
	long := strings.Repeat("m", 128)
	for name, test := range map[string]struct {
		before, now []func(*v1alpha1.DaemonSet)
		want        string
	}{
		"by force":              {fns(applied("a: " + whole)), fns(applied("a: "+image, "b: "+whole)), "containers[main].ports: b replaced the list of a; let one own it"},
		"by an update":          {fns(applied("a: " + whole)), fns(applied("a: "+image), updated("b: "+whole)), "b replaced the list of a"},
		"from two owners":       {fns(applied("a: "+whole, "b: "+whole)), fns(applied("c: " + whole)), "c replaced the list of a"},
		"long names":            {fns(applied("a" + long + ": " + whole)), fns(applied("b" + long + ": " + whole)), "...; let one own it"},
		"by its owner":          {before: fns(applied("a: " + whole)), now: fns(applied("a: " + whole))},
		"its owner drops it":    {before: fns(applied("a: " + whole)), now: fns(applied("a: " + image))},
		"one of two drops it":   {before: fns(applied("a: "+whole, "b: "+whole)), now: fns(applied("b: " + whole))},
		"the same, by a second": {before: fns(applied("a: " + whole)), now: fns(applied("a: "+whole, "b: "+whole))},
		"the first to apply":    {before: fns(updated("kubectl-create: " + whole)), now: fns(applied("a: " + whole))},
		"by its owner's update": {before: fns(applied("a: " + whole)), now: fns(updated("a: " + whole))},
		"other fields":          {before: fns(applied("a: " + image)), now: fns(applied("b: " + image))},
		"keyed by other names":  {before: fns(applied(`a: "f:env":{"k:{\"name\":\"A\"}":{}}`)), now: fns(applied(`b: "f:env":{"k:{\"name\":\"A\"}":{}}`))},
	} {
		t.Run(name, func(t *testing.T) {
			asked := updateSet(encode(t, validSet(append(test.now, ports(corev1.ContainerPort{ContainerPort: 80}))...)), encode(t, validSet(test.before...)))
			var want []string
			if test.want != "" {
				want = append(want, test.want)
			}
			response := validated(t, asked)
			if !response.Allowed {
				t.Fatalf("refused: %+v", response.Result)
			}
			checkWarnings(t, response.Warnings, want...)
		})
	}
}

func fns(changes ...func(*v1alpha1.DaemonSet)) []func(*v1alpha1.DaemonSet) { return changes }

// A user who may write a DaemonSet may also write its managedFields.
func TestManagedFieldsOfAnyShape(t *testing.T) {
	for _, fields := range []string{``, `null`, `[]`, `1`, `{"f:spec":[]}`, `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:1":{"f:ports":1},"k:":{},"v:{}":{},".":{}}}}}}`} {
		entry := map[string]any{"manager": "a", "operation": "Apply", "fieldsV1": json.RawMessage(fields)}
		if fields == "" {
			delete(entry, "fieldsV1")
		}
		raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": []any{entry}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := replaced(raw, raw); len(got) > 0 {
			t.Errorf("%s: %q", fields, got)
		}
	}
}

// managedFields that are too large cause no warnings.
func TestManagedFieldsOfAnySize(t *testing.T) {
	entries := func(manager string, containers int) []byte {
		keys := make([]string, containers)
		for i := range keys {
			keys[i] = fmt.Sprintf(`"k:{\"name\":\"c%d\"}":{"f:ports":{}}`, i)
		}
		return fmt.Appendf(nil, `{"metadata":{"managedFields":[{"manager":%q,"operation":"Apply","fieldsV1":{"f:spec":{"f:template":{"f:spec":{"f:containers":{%s}}}}}}]}}`,
			manager, strings.Join(keys, ","))
	}
	for containers, want := range map[int]int{100: 100, 20_000: 0} {
		if got := replaced(entries("b", containers), entries("a", containers)); len(got) != want {
			t.Errorf("%d containers: %d warnings, want %d", containers, len(got), want)
		}
	}
}
