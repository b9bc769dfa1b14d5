// Package chase looks for a history that breaks an invariant.
package chase

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/everynode/everynode/test/faults/checker"
	"github.com/everynode/everynode/test/faults/history"
)

// Result is what a chase found.
type Result struct {
	Seeds   uint64         `json:"seeds"` // that were run
	Caught  bool           `json:"caught"`
	Seed    uint64         `json:"seed"` // that broke the invariant
	Why     string         `json:"why,omitempty"`
	Others  map[string]int `json:"others,omitempty"`  // violations of other invariants
	Crashes map[string]int `json:"crashes,omitempty"` // of the program itself, by cause: no history to judge
	Judged  map[string]int `json:"judged"`
	Seconds float64        `json:"seconds"`
}

// Main runs seeds until the invariant of the flags is broken, or any if it is empty, and prints the result.
func Main(run func(seed uint64) *history.History) {
	seeds := flag.Uint64("seeds", 300, "how many seeds to run at most")
	from := flag.Uint64("from", 0, "the first seed")
	invariant := flag.String("invariant", "", "the invariant that has to be broken; any if it is empty")
	text := flag.Bool("text", false, "print the end of the history that breaks it")
	flag.Parse()
	start := time.Now()
	r := Result{Others: map[string]int{}, Crashes: map[string]int{}, Judged: map[string]int{}}
	for seed := *from; seed < *from+*seeds && !r.Caught; seed++ {
		r.Seeds++
		if h := r.record(seed, run); h != nil {
			r.judge(seed, h, *invariant, *text)
		}
	}
	r.Seconds = time.Since(start).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(&r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// record runs a seed. A mutant may make the program panic, which no invariant covers.
func (r *Result) record(seed uint64, run func(uint64) *history.History) (h *history.History) {
	defer func() {
		if cause := recover(); cause != nil {
			r.Crashes[fmt.Sprint(cause)]++
			h = nil
		}
	}()
	return run(seed)
}

func (r *Result) judge(seed uint64, h *history.History, invariant string, text bool) {
	verdict := checker.Judge(h)
	for id, n := range verdict.Judged {
		r.Judged[id] += n
	}
	for _, violation := range verdict.Violations {
		if invariant != "" && violation.ID != invariant {
			r.Others[violation.ID]++
			continue
		}
		if !r.Caught && text {
			fmt.Fprintln(os.Stderr, h.Text(violation.Index-100, violation.Index+1))
		}
		if !r.Caught {
			r.Caught, r.Seed, r.Why = true, seed, violation.String()
		}
	}
}
