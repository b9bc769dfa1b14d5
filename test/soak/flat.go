package soak

import (
	"fmt"
	"slices"

	"github.com/everynode/everynode/test/labtest"
)

// sample is what a program has used after a round of churn.
type sample struct {
	round int
	labtest.Usage
}

// minSamples are needed for a judgement: three parts of several samples each.
const minSamples = 9

// bound is the growth that is allowed for the median of a quantity from the second third of a run to the last: a part of it, plus
// an amount that covers what a busy machine and the state of the garbage collector change.
type bound struct {
	name       string
	of         func(before, now sample) float64
	part, plus float64
	unit       string
	scale      float64
}

// bounds. Every leak that costs memory, goroutines or requests for each round exceeds one of them in a run of hours, a leak of more than
// the amounts in ten rounds or so in a run of minutes.
var bounds = []bound{
	{"heap", func(_, now sample) float64 { return now.Heap }, 0.10, 6e6, "MB", 1e6},
	{"resident memory", func(_, now sample) float64 { return now.Resident }, 0.10, 12e6, "MB", 1e6},
	{"goroutines", func(_, now sample) float64 { return now.Goroutines }, 0.05, 8, "", 1},
	// Leases are renewed by time and not by rounds.
	{"writes of a round", func(before, now sample) float64 { return now.Writes - before.Writes }, 0.25, 10, "", 1},
}

// growth returns what grew in a series of samples, and the figures of all quantities. The first third is warm-up.
func growth(samples []sample) (grew, figures []string) {
	if len(samples) < minSamples {
		return []string{fmt.Sprintf("%d rounds are too few to judge, want %d: run it longer", len(samples), minSamples)}, nil
	}
	if last, before := samples[len(samples)-1], samples[2*len(samples)/3]; last.Collections == before.Collections {
		grew = append(grew, "no garbage was collected in the last third, so that nothing is known about the heap: run it longer")
	}
	for _, bound := range bounds {
		values := make([]float64, 0, len(samples)-1)
		for i := 1; i < len(samples); i++ {
			values = append(values, bound.of(samples[i-1], samples[i]))
		}
		third := len(values) / 3
		before, now := median(values[third:2*third]), median(values[2*third:])
		limit := before*(1+bound.part) + bound.plus
		text := fmt.Sprintf("%s %.1f, then %.1f %s (at most %.1f)", bound.name, before/bound.scale, now/bound.scale, bound.unit, limit/bound.scale)
		figures = append(figures, text)
		if now > limit {
			grew = append(grew, text)
		}
	}
	return grew, figures
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
