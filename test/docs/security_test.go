package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/security.md names exists, and every row of its tables names one.
func TestSecurityIsShownByTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, source := range sources(t) {
		for _, test := range declared.FindAllStringSubmatch(source, -1) {
			tests[test[1]] = true
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		names := named.FindAllStringSubmatch(line, -1)
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("docs/security.md names %s, which does not exist:\n%s", name[1], line)
			}
		}
		isRow := strings.HasPrefix(line, "| ") && !strings.Contains(line, "| shown by |")
		if isRow && len(names) == 0 {
			t.Errorf("docs/security.md has a row without a test:\n%s", line)
		}
		if isRow {
			rows++
		}
	}
	if rows < 25 {
		t.Errorf("docs/security.md has %d rows, want 25 or more", rows)
	}
}
