package chart

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of values into docs/install.md")

const (
	manual = root + "/docs/install.md"
	begin  = "<!-- values: written by go test ./test/chart -update -->\n"
	end    = "<!-- /values -->\n"
)

// The table of values in the manual is that of values.yaml.
func TestTableOfValues(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		t.Fatalf("%s has no place for the table: %s…%s", manual, begin, end)
	}
	want := "| value | default | |\n|---|---|---|\n"
	for _, value := range documented(t) {
		want += "| `" + value.path + "` | `" + value.initial + "` | " + value.comment + " |\n"
	}
	if *update {
		if err := os.WriteFile(manual, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("the table in %s is out of date: go test ./test/chart -run Table -update (-want, +got):\n%s", manual, diff)
	}
}
