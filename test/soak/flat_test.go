package soak

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/everynode/everynode/test/labtest"
)

// series returns samples that a function changes.
func series(n int, change func(i int, s *sample)) []sample {
	random := rand.New(rand.NewPCG(1, 2))
	samples := make([]sample, n)
	writes := 0.0
	for i := range samples {
		writes += 40 + 4*random.Float64()
		samples[i] = sample{round: i, Usage: labtest.Usage{
			Heap: 60e6 * (1 + 0.05*random.Float64()), Resident: 90e6 * (1 + 0.03*random.Float64()), Goroutines: 200 + 3*random.Float64(), Writes: writes, Collections: float64(i),
		}}
		change(i, &samples[i])
	}
	return samples
}

// Growth of each quantity is found, and noise, warm-up and a single peak are not taken for it.
func TestGrowth(t *testing.T) {
	tests := map[string]struct {
		change func(i int, s *sample)
		want   string
	}{
		"noise":                 {func(int, *sample) {}, ""},
		"warm-up":               {func(i int, s *sample) { s.Heap -= 40e6 / float64(i+1); s.Resident -= 60e6 / float64(i+1) }, ""},
		"a peak":                {func(i int, s *sample) { s.Heap += peak(i, 50) * 100e6; s.Goroutines += peak(i, 50) * 500 }, ""},
		"falling":               {func(i int, s *sample) { s.Heap -= float64(i) * 0.4e6 }, ""},
		"heap":                  {func(i int, s *sample) { s.Heap += float64(i) * 0.8e6 }, "heap"},
		"memory outside of it":  {func(i int, s *sample) { s.Resident += float64(i) * 2e6 }, "resident memory"},
		"goroutines":            {func(i int, s *sample) { s.Goroutines += float64(i) }, "goroutines"},
		"writes for each round": {func(i int, s *sample) { s.Writes += 1.5 * float64(i*i) }, "writes of a round"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			grew, figures := growth(series(60, test.change))
			if len(figures) != len(bounds) {
				t.Errorf("figures %q, want %d", figures, len(bounds))
			}
			if test.want == "" && len(grew) > 0 || test.want != "" && (len(grew) != 1 || !strings.HasPrefix(grew[0], test.want)) {
				t.Errorf("grew: %q, want %q", grew, test.want)
			}
		})
	}
	if grew, _ := growth(series(60, func(_ int, s *sample) { s.Collections = 5 })); len(grew) != 1 || !strings.Contains(grew[0], "no garbage was collected") {
		t.Errorf("without collections: %q", grew)
	}
	if grew, _ := growth(series(minSamples-1, func(int, *sample) {})); len(grew) != 1 || !strings.Contains(grew[0], "too few") {
		t.Errorf("of too few samples: %q", grew)
	}
}

func peak(i, at int) float64 {
	if i == at {
		return 1
	}
	return 0
}
