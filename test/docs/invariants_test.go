// Package docs compares what the documentation promises with the rest of the repository.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// The ids of invariants: safety and liveness, numbered (docs/design.md, Invariants).
var (
	cited   = regexp.MustCompile(`\b[SL][1-9]\b`)
	defined = regexp.MustCompile(`(?m)^\| ([SL][1-9]) \|`)
)

// Every invariant that the code cites has a row in docs/design.md, and every row is cited.
func TestCitedInvariantsAreDefined(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, row := range defined.FindAllStringSubmatch(string(text), -1) {
		rows[row[1]] = false
	}
	for path, source := range sources(t) {
		for _, id := range cited.FindAllString(source, -1) {
			if _, ok := rows[id]; !ok {
				t.Errorf("%s cites %s, which the table Invariants in docs/design.md does not define", path, id)
			}
			rows[id] = true
		}
	}
	for id, used := range rows {
		if !used && strings.HasPrefix(id, "S") {
			t.Errorf("docs/design.md defines %s, and no Go file cites it: name it where it is enforced or tested", id)
		}
	}
}

// The tests named in the table exist.
func TestInvariantsAreShownByTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, source := range sources(t) {
		all.WriteString(source)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	paths := regexp.MustCompile("`([a-z/]+/[a-z_*/.]+)`")
	for line := range strings.Lines(string(text)) {
		if !defined.MatchString(line) {
			continue
		}
		for _, name := range named.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(all.String(), "func "+name[1]+"(") {
				t.Errorf("docs/design.md names %s, which does not exist in any Go file:\n%s", name[1], line)
			}
		}
		for _, path := range paths.FindAllStringSubmatch(line, -1) {
			if found, err := filepath.Glob(filepath.Join(root, path[1])); err != nil || len(found) == 0 {
				t.Errorf("docs/design.md names %s, which does not exist:\n%s", path[1], line)
			}
		}
	}
}

// sources returns the Go files of the repository, by path.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "bin" || len(entry.Name()) > 2 && entry.Name()[0] == '.'):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "test/docs/invariants_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
