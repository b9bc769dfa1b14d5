package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everynode/everynode/test/faults/mutants/chase"
)

// seedsVariable is how many seeds a mutant may survive; make mutants allows more.
const seedsVariable = "EVERYNODE_MUTANT_SEEDS"

// seeds returns how many seeds a mutant may survive, and how many the programs without a mutant are run with.
func seeds(t *testing.T) (mutant, unmutated int) {
	t.Helper()
	text := os.Getenv(seedsVariable)
	if text == "" {
		return 1000, 300
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", seedsVariable, err)
	}
	return n, n
}

func root(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// build compiles the programs with all mutants.
func build(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	overlay, err := WriteOverlay(root(t), folder)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "build", "-overlay", overlay, "-o", folder+"/", "./test/faults/mutants/hunt", "./test/faults/mutants/hold", "./test/faults/mutants/die", "./test/faults/mutants/place", "./test/faults/mutants/schedule")
	command.Dir = root(t)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

// chased runs a program with a mutant.
func chased(t *testing.T, folder string, program Program, mutant, invariant string, seeds int) (r chase.Result) {
	t.Helper()
	var out, errors bytes.Buffer
	command := exec.Command(filepath.Join(folder, string(program)), "-seeds", fmt.Sprint(seeds), "-invariant", invariant)
	command.Env = append(os.Environ(), Variable+"="+mutant)
	command.Stdout, command.Stderr = &out, &errors
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &errors)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// limit is how many seeds of a program are run: the scheduler's situations are few, and take seconds.
func limit(program Program, most int) int {
	const situations = 4
	if program == Schedule {
		return situations
	}
	return most
}

// Every mutant is caught by the invariant that it breaks; the program without one by none.
func TestMutants(t *testing.T) {
	start := time.Now()
	folder := build(t)
	t.Logf("compiled in %s", time.Since(start).Round(100*time.Millisecond))
	most, unmutated := seeds(t)
	for _, program := range []Program{Hunt, Hold, Die, Place, Schedule} {
		if r := chased(t, folder, program, "", "", limit(program, unmutated)); r.Caught || len(r.Crashes) > 0 || r.Seeds != uint64(limit(program, unmutated)) {
			t.Errorf("without a mutant, %s breaks an invariant after %d seeds, at seed %d: %s; crashes %v", program, r.Seeds, r.Seed, r.Why, r.Crashes)
		}
	}
	table := make([]string, len(All))
	t.Run("each", func(t *testing.T) {
		turns := make(chan struct{}, runtime.GOMAXPROCS(0))
		for n, mutant := range All {
			t.Run(mutant.Name, func(t *testing.T) {
				t.Parallel()
				turns <- struct{}{}
				defer func() { <-turns }()
				r := chased(t, folder, mutant.Program, mutant.Name, mutant.Breaks, limit(mutant.Program, most))
				table[n] = fmt.Sprintf("%-28s %-6s %-3s %4d seeds %6.1f s  %s", mutant.Name, mutant.Program, mutant.Breaks, r.Seeds, r.Seconds, r.Why)
				if !r.Caught {
					t.Errorf("%s is not reported in %d seeds: %s; reported: %v; crashes: %v", mutant.Breaks, r.Seeds, mutant.Bug, r.Others, r.Crashes)
				}
			})
		}
	})
	t.Logf("%d mutants\n%s", len(All), strings.Join(table, "\n"))
}

// Each mutant has its conditions in the edits, and each condition belongs to a mutant.
func TestEdits(t *testing.T) {
	if _, err := apply(root(t)); err != nil {
		t.Error(err)
	}
	inEdits := map[string]bool{}
	for _, e := range edits {
		for _, found := range regexp.MustCompile(`mutant\("([^"]*)"\)`).FindAllStringSubmatch(e.new, -1) {
			inEdits[found[1]] = true
		}
	}
	for _, mutant := range All {
		if !inEdits[mutant.Name] {
			t.Errorf("%s is in no edit", mutant.Name)
		}
		delete(inEdits, mutant.Name)
	}
	if len(inEdits) > 0 {
		t.Errorf("edits without a mutant: %v", inEdits)
	}
	names := make([]string, len(All))
	for n, mutant := range All {
		names[n] = mutant.Name
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(All) {
		t.Error("two mutants have one name")
	}
	const intended = 20
	if len(All) < intended {
		t.Errorf("%d mutants, at least %d are intended", len(All), intended)
	}
}
