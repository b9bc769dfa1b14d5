package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/api/resource"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/bounded"
	"github.com/everynode/everynode/internal/daemon"
)

// budget bounds the time to read one object. Ordinary objects take one or two
// milliseconds; the rest allows for a busy machine.
const budget = time.Second

func mustServer(t testing.TB) *server {
	t.Helper()
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// least returns a small DaemonSet.
func least() map[string]any {
	var object map[string]any
	if err := json.Unmarshal([]byte(`{"apiVersion":"everynode.dev/v1alpha1","kind":"DaemonSet","metadata":{"name":"agent"},
		"spec":{"selector":{"matchLabels":{"app":"agent"}},"template":{"metadata":{"labels":{"app":"agent"}},
		"spec":{"containers":[{"name":"main","image":"a"}]}}}}`), &object); err != nil {
		panic(err)
	}
	return object
}

// hostile are values that some decoder refuses, or needs seconds for.
func hostile() map[string]json.RawMessage {
	text := func(s string) json.RawMessage { return encode(s) }
	values := map[string]json.RawMessage{
		"long string":  text(strings.Repeat("x", 1<<18+1)),
		"many digits":  text(strings.Repeat("9", 1<<14)),
		"deep list":    json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200)),
		"deep object":  json.RawMessage(strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)),
		"many entries": json.RawMessage("[" + strings.Repeat("1,", 1200) + "1]"),
		"surrogate":    json.RawMessage(`"\ud800"`),
		"not UTF-8":    json.RawMessage("\"\xff\xfe\""),
	}
	for _, number := range []string{
		"-1", "0", "1.5", "1.0", "1e2", "2147483648", "-2147483649", "5000000000", "9223372036854775807", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999999999", "1e18", "1e19", "1e30", "1e308", "5e-324", "1e400", "-0.0",
	} {
		values["number "+number] = json.RawMessage(number)
	}
	for _, s := range []string{
		"", "true", "null", "1", " 1 ", "\u00a01", "1e-40000000", "1e40000000", "1e99999999999999999999", "1e30000000", "1e999", "1e-999", "1e99", "1e-99",
		"1E+99", "0x10", "1_000", "NaN", "Inf", "+.5Ei", "9" + strings.Repeat("0", 62), "." + strings.Repeat("0", 62) + "1", "100%", "99999999999%",
		"2026-02-31T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01t00:00:00z", "2026-01-01T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01",
		"2026-01-01T00:00:00.1234567890123Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "0000-01-01T00:00:00Z", "2026-01-01 00:00:00Z", "not base64!",
	} {
		values["string "+s] = text(s)
	}
	for _, other := range []string{"1", `"a"`, "true", "false", "null", "[]", "[null]", "[1]", "{}", `{"a":1}`, `{"a":null}`} {
		values[other] = json.RawMessage(other)
	}
	return values
}

// A typed client decodes everything that the schema accepts within the budget. Places
// of one kind, with the same schema and the same Go type, are tried once.
func TestWhatIsStoredCanBeDecoded(t *testing.T) {
	s, values := mustServer(t), hostile()
	places, accepted, kinds := 0, 0, map[string]bool{}
	s.visit(func(at place, schema *apiextensions.JSONSchemaProps) {
		places++
		if kind := kindOf(t, at, schema); !kinds[kind] {
			kinds[kind] = true
			accepted += s.try(t, at, schema, values)
		}
	})
	t.Logf("%d places of %d kinds, %d values each, %d objects accepted", places, len(kinds), len(values), accepted)
	if places < 1300 || accepted < 2*len(kinds) {
		t.Error("too few to prove anything")
	}
}

// kindOf returns the properties of a place that matter for its values.
func kindOf(t *testing.T, at place, schema *apiextensions.JSONSchemaProps) string {
	goType, err := typeAt(at)
	if err != nil {
		t.Fatal(err)
	}
	own := schema.DeepCopy()
	own.Properties, own.Items, own.AdditionalProperties, own.Required, own.XValidations = nil, nil, nil, nil, nil
	return fmt.Sprintf("%s %s %s", at[0], goType, encode(own))
}

// try gives a place every value, and returns how many the schema accepts.
func (s *server) try(t *testing.T, at place, schema *apiextensions.JSONSchemaProps, values map[string]json.RawMessage) (accepted int) {
	if _, err := s.create(encode(s.with(least(), at, sample(schema)))); err != nil && !ruled(at) {
		t.Errorf("%s: a sample is refused, so this place is not tested: %v", at, err)
	}
	leaf := len(schema.Properties) == 0 && schema.Items == nil && schema.AdditionalProperties == nil
	for name, value := range values {
		if !leaf && (strings.HasPrefix(name, "string ") || strings.HasPrefix(name, "number ")) { // one of another type is enough
			continue
		}
		stored, err := s.create(encode(s.with(least(), at, value)))
		if err != nil {
			continue
		}
		accepted++
		if err := decodes(stored); err != nil {
			t.Errorf("%s: %s is stored: %v", at, name, err)
		}
	}
	return accepted
}

// ruled reports whether a CEL rule restricts a place, so that a sample may be refused: places that
// contain the selector or the labels or are within the selector, requirements whose operator decides about their values,
// and fields with one valid value.
func ruled(at place) bool {
	path := at.String()
	return strings.HasPrefix(path, "spec.selector") || strings.HasPrefix(path, "spec.rollout.nodeSelector.matchExpressions[]") || strings.HasPrefix(path, "spec.rollout.waves[]") || strings.HasPrefix("spec.template.metadata.labels", path) ||
		path == "spec.template.spec.restartPolicy" || path == "spec.template.spec.activeDeadlineSeconds" || path == "spec.updateStrategy.rollingUpdate.maxSurge"
}

// decodes reads an object and processes it as every reader does.
func decodes(stored []byte) error {
	var took time.Duration
	for range 3 { // the machine may have been busy
		begun := time.Now()
		err := use(stored)
		if took = time.Since(begun); err != nil || took < budget {
			return err
		}
	}
	return fmt.Errorf("reading it takes %s, more than %s", took, budget)
}

func use(stored []byte) error {
	var set v1alpha1.DaemonSet
	if err := bounded.Unmarshal(stored, &set); err != nil { // the controller
		return err
	}
	set = v1alpha1.DaemonSet{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(stored, &set); err != nil { // others
		return err
	}
	calculate(reflect.ValueOf(&set.Spec.Template.Spec).Elem())
	if _, err := daemon.Identify(daemon.FromEverynode(&set)); err != nil {
		return err
	}
	_, err := json.Marshal(&set)
	return err
}

// calculate processes every quantity as schedulers, quotas and printers do.
func calculate(value reflect.Value) {
	if quantity, ok := value.Interface().(resource.Quantity); ok {
		sum := resource.MustParse("1n")
		sum.Add(quantity)
		sum.Sub(quantity)
		quantity.Cmp(sum)
		quantity.Value()
		quantity.MilliValue()
		quantity.AsApproximateFloat64()
		_ = quantity.String()
		quantity.RoundUp(0)
		return
	}
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			calculate(value.Elem())
		}
	case reflect.Slice:
		for i := range value.Len() {
			calculate(value.Index(i))
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			calculate(value.MapIndex(key))
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				calculate(value.Field(i))
			}
		}
	}
}

// Whatever an API server with the schema stores is decoded within the budget.
func FuzzStored(f *testing.F) {
	s := mustServer(f)
	for _, pattern := range []string{"accepted/*.yaml", "refused/*.yaml", "lawful.yaml"} {
		files, err := filepath.Glob(filepath.Join("..", "corpus", "testdata", pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			var object map[string]any
			if err := yaml.Unmarshal(text, &object); err != nil {
				f.Fatal(err)
			}
			object["apiVersion"] = v1alpha1.GroupVersion.String()
			f.Add(encode(object))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		stored, err := s.create(body)
		if err != nil {
			return
		}
		if err := decodes(stored); err != nil {
			t.Fatalf("the API server stores it: %v", err)
		}
	})
}
