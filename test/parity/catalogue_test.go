// Package parity compares Everynode with upstream's DaemonSet. README.md lists for each test of
// upstream's suites the tests of this repository that assert the same, and is checked against both sides
// here; the integration suite is re-implemented for both kinds of workload on a lab.
package parity

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed README.md
var catalogue string

// row is one line of a table of the catalogue.
type row struct {
	file string // of upstream; empty in the table of issues
	name string // of upstream's test, or the issue
	ours []string
	note string
}

// rows reads the tables: a heading that is a path in code font begins the table of a file of upstream.
func rows(t *testing.T) []row {
	t.Helper()
	var (
		found []row
		file  string
	)
	for line := range strings.Lines(catalogue) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			file = strings.Trim(heading, "`")
			if !strings.HasSuffix(file, ".go") {
				file = ""
			}
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.HasSuffix(line, "| ours | note |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			t.Fatalf("%q has %d columns, want 3", line, len(cells))
		}
		r := row{file: file, name: strings.Trim(cells[0], " `"), note: strings.TrimSpace(cells[2])}
		for _, ours := range strings.Split(cells[1], "<br>") {
			if ours = strings.Trim(ours, " `"); ours != "" {
				r.ours = append(r.ours, ours)
			}
		}
		found = append(found, r)
	}
	return found
}

// Every test of upstream's suites has a row, and every row a test of upstream, so that an update
// of Kubernetes reveals new tests.
func TestCatalogueIsComplete(t *testing.T) {
	root := kubernetes(t)
	listed := map[string][]string{} // by file
	for _, r := range rows(t) {
		if r.file != "" {
			listed[r.file] = append(listed[r.file], r.name)
		}
	}
	for _, dir := range []string{"pkg/controller/daemon", "pkg/controller/daemon/util", "test/integration/daemonset"} {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, path := range paths {
			file := dir + "/" + filepath.Base(path)
			have := slices.DeleteFunc(slices.Collect(maps.Keys(testsIn(t, path))), func(name string) bool { return name == "TestMain" })
			for _, name := range have {
				if !slices.Contains(listed[file], name) {
					t.Errorf("%s has %s: add a row to README.md", file, name)
				}
			}
			for _, name := range listed[file] {
				if !slices.Contains(have, name) {
					t.Errorf("%s has no %s any more: remove its row from README.md", file, name)
				}
			}
			delete(listed, file)
		}
	}
	for file := range listed {
		t.Errorf("upstream has no %s any more", file)
	}
}

// Every test that the catalogue names exists, and rows without one have a reason.
func TestCatalogueNamesOurTests(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows(t) {
		if key := r.file + " " + r.name; seen[key] {
			t.Errorf("%s has two rows", key)
		} else {
			seen[key] = true
		}
		if len(r.ours) == 0 && !strings.HasPrefix(r.note, "n/a: ") && !strings.HasPrefix(r.note, "open: ") {
			t.Errorf("%s: name a test of this repository, or the reason why there is none (n/a: …, open: …)", r.name)
		}
		for _, name := range r.ours {
			if problem := missing(t, name); problem != "" {
				t.Errorf("%s: %s: %s", r.name, name, problem)
			}
		}
	}
}

// missing returns what does not exist of a test of this repository, "<folder>:<function>" or, with a case
// of its table or a subtest, "<folder>:<function>/<case>".
func missing(t *testing.T, name string) string {
	t.Helper()
	dir, test, ok := strings.Cut(name, ":")
	if !ok {
		return "want <folder>:<function>[/<case>]"
	}
	function, subtest, _ := strings.Cut(test, "/")
	paths, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		literals, found := testsIn(t, path)[function]
		switch {
		case !found:
		case subtest != "" && !slices.Contains(literals, subtest):
			return fmt.Sprintf("no string %q in %s", subtest, function)
		default:
			return ""
		}
	}
	return "no such test"
}

var parsed = map[string]map[string][]string{}

// testsIn returns the test functions of a file, with the string literals in each.
func testsIn(t *testing.T, path string) map[string][]string {
	t.Helper()
	if tests, done := parsed[path]; done {
		return tests
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]string{}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Test") {
			continue
		}
		literals := []string{}
		ast.Inspect(function, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					literals = append(literals, text)
				}
			}
			return true
		})
		tests[function.Name.Name] = literals
	}
	parsed[path] = tests
	return tests
}

// kubernetes returns the folder of the Kubernetes module that this build uses.
func kubernetes(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatalf("finding the Kubernetes module: %v", err)
	}
	return strings.TrimSpace(string(out))
}
