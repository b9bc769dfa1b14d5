package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/everynode/everynode/test/docs/reference"
)

var api = filepath.Join(root, "api", "v1alpha1")

// docs/reference/events.md is up to date.
func TestReferenceOfEvents(t *testing.T) {
	page := reference.New("Conditions and events", "the comments in api/v1alpha1/reasons.go and names.go")
	page.Line("## Conditions of a DaemonSet")
	var kinds [][]string
	for _, group := range constants(t, "names.go") {
		if !strings.HasPrefix(group.Constants[0].Name, "Condition") {
			continue
		}
		for _, kind := range group.Constants {
			kinds = append(kinds, []string{reference.Code(kind.Value), reference.Sentence(kind.Doc)})
		}
	}
	page.Table([]string{"type", "True means"}, kinds)
	page.Line("`lastTransitionTime` is when the status of a condition last changed, `observedGeneration` the generation of the DaemonSet that it is about; native DaemonSets have only the former.")
	for _, group := range constants(t, "reasons.go") {
		title, more, _ := strings.Cut(group.Doc, ". ")
		page.Line("## %s", strings.TrimSuffix(title, "."))
		if more != "" {
			page.Line("%s", strings.Join(strings.Fields(more), " "))
		}
		page.Table(table(group.Constants))
	}
	reference.Check(t, "events.md", page)
}

// table has a column for the status of a condition.
func table(constants []reference.Constant) (head []string, rows [][]string) {
	head = []string{"reason", "meaning"}
	for _, constant := range constants {
		if constant.Doc == "" {
			continue
		}
		row := []string{reference.Code(constant.Value)}
		if status, rest, ok := strings.Cut(constant.Doc, ". "); ok && (status == "True" || status == "False") {
			head = []string{"reason", "status", "meaning"}
			row, constant.Doc = append(row, status), rest
		}
		rows = append(rows, append(row, reference.Sentence(constant.Doc)))
	}
	return head, rows
}

func constants(t *testing.T, file string) []reference.Group {
	t.Helper()
	groups, err := reference.Constants(filepath.Join(api, file))
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

// reasonName matches the names of constants with the reason of a condition or an event.
var reasonName = regexp.MustCompile(`^(event|reason|Reason)[A-Z]`)

// Every reason of a condition or an event is declared in api/v1alpha1/reasons.go, with its meaning, and no
// other file contains a literal for one. Reasons with their own type belong to plans, not to conditions.
func TestReasonsAreDeclaredOnce(t *testing.T) {
	declared := map[string]bool{}
	for _, group := range constants(t, "reasons.go") {
		for _, constant := range group.Constants {
			if constant.Doc == "" {
				t.Errorf("%s has no comment in api/v1alpha1/reasons.go: state what it means", constant.Name)
			}
			declared[constant.Value] = true
		}
	}
	for path, source := range sources(t) {
		folder, _, _ := strings.Cut(strings.TrimPrefix(path, root+"/"), "/")
		if strings.HasSuffix(path, "_test.go") || folder != "controller" && folder != "internal" && folder != "schedplugin" {
			continue
		}
		for name, value := range literals(t, path, source) {
			if !declared[value] && reasonName.MatchString(name) && !strings.Contains(value, " ") {
				t.Errorf("%s: %s = %q: declare the reason in api/v1alpha1/reasons.go, with a comment", path, name, value)
			}
		}
	}
}

// literals returns the untyped constants of a file that are literal strings.
func literals(t *testing.T, path, source string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || spec.Type != nil {
			return true
		}
		for i, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					found[spec.Names[i].Name] = text
				}
			}
		}
		return true
	})
	return found
}
