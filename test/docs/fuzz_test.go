package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz[A-Z]\w*)\(`)

// make fuzz runs every fuzz target of the module, and each has a corpus of inputs that are of interest, which go test runs too.
func TestEveryFuzzTargetRuns(t *testing.T) {
	var want []string
	for path, source := range sources(t) {
		if !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, root+"/tools/") {
			continue
		}
		folder := strings.Replace(filepath.Dir(path), root, ".", 1)
		for _, target := range fuzzTarget.FindAllStringSubmatch(source, -1) {
			want = append(want, folder+" "+target[1])
			corpus, err := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", target[1]))
			if err != nil || len(corpus) < 3 {
				t.Errorf("%s of %s has %d inputs in testdata/fuzz, %v: keep at least three, each with a name that says what it is", target[1], folder, len(corpus), err)
			}
		}
	}
	slices.Sort(want)
	list, err := exec.Command("bash", filepath.Join(root, "hack", "fuzz.sh"), "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(list)), "\n")); diff != "" || len(want) < 5 {
		t.Errorf("targets that hack/fuzz.sh runs, of %d (-want, +got):\n%s", len(want), diff)
	}
}
