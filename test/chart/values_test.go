package chart

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/util/jsonpath"
)

// A value is one that values.yaml documents.
type value struct {
	path, comment, initial string
}

// documented returns the values of values.yaml, in its order: those with a comment, and leaves.
func documented(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var values []value
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, content := node.Content[i], node.Content[i+1]
			if key.HeadComment == "" && content.Kind == yaml.MappingNode && len(content.Content) > 0 {
				walk(prefix+key.Value+".", content)
				continue
			}
			values = append(values, value{prefix + key.Value, comment(key.HeadComment), flow(t, content)})
		}
	}
	walk("", document.Content[0])
	return values
}

// comment returns the last paragraph of a comment, as one line.
func comment(head string) string {
	paragraphs := strings.Split(head, "\n\n")
	var words []string
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		words = append(words, strings.Fields(strings.TrimPrefix(line, "#"))...)
	}
	return strings.Join(words, " ")
}

// flow formats a node on one line.
func flow(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var plain func(node *yaml.Node)
	plain = func(node *yaml.Node) {
		node.HeadComment, node.LineComment, node.FootComment = "", "", ""
		if node.Kind != yaml.ScalarNode {
			node.Style = yaml.FlowStyle
		}
		for _, child := range node.Content {
			plain(child)
		}
	}
	plain(node)
	text, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// A valueCase tests the effect of one value, or of one of its choices.
type valueCase struct {
	// of is the value's path in values.yaml.
	of string
	// options are given to helm.
	options []string
	// against are the options that it is compared with; by default the chart's defaults.
	against []string
	// want has the expected text of fields by "Kind/name {jsonpath}".
	want map[string]string
	// gone are objects that must not exist.
	gone []string
}

// field returns the text of a field, "Kind/name {jsonpath}", or of an argument, "Kind/name --flag";
// empty if there is none.
func (o objects) field(t *testing.T, key string) string {
	t.Helper()
	name, path, _ := strings.Cut(key, " ")
	object := o[name]
	if object == nil {
		return ""
	}
	if flag, is := strings.CutPrefix(path, "--"); is {
		for arg := range strings.FieldsSeq(o.field(t, name+" {.spec.template.spec.containers[0].args[*]}")) {
			if strings.HasPrefix(arg, "--"+flag+"=") {
				return arg
			}
		}
		return ""
	}
	parsed := jsonpath.New(key).AllowMissingKeys(true)
	if err := parsed.Parse(path); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, object.Object); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return text.String()
}

// Every value has a description, and a case that tests its effect.
func TestValues(t *testing.T) {
	known := map[string]bool{}
	for _, value := range documented(t) {
		known[value.path] = true
		if value.comment == "" {
			t.Errorf("values.yaml: %s has no comment", value.path)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(valueCases)), func(c valueCase) bool { return c.of == value.path }) {
			t.Errorf("no case tests the value %s", value.path)
		}
	}
	_, defaults := render(t)
	var mu sync.Mutex
	manifests := map[string][]byte{}
	t.Run("each", func(t *testing.T) {
		for name, test := range valueCases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if !known[test.of] {
					t.Errorf("values.yaml has no %s", test.of)
				}
				before := defaults
				if test.against != nil {
					_, before = render(t, test.against...)
				}
				manifest, after := render(t, test.options...)
				test.check(t, before, after)
				checkPodSecurity(t, after)
				mu.Lock()
				defer mu.Unlock()
				manifests[name] = manifest
			})
		}
	})
	checkSchemas(t, manifests)
}

// check verifies the expected fields, and that the value causes them.
func (c valueCase) check(t *testing.T, before, after objects) {
	t.Helper()
	for key, want := range c.want {
		if got := after.field(t, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		if before.field(t, key) == want {
			t.Errorf("%s is %q without the value as well", key, want)
		}
	}
	for _, key := range c.gone {
		if before[key] == nil {
			t.Errorf("%s does not exist without the value either", key)
		}
		if after[key] != nil {
			t.Errorf("%s still exists", key)
		}
	}
}
