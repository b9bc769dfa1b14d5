package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mitchellh/go-wordwrap"

	"github.com/everynode/everynode/test/lab"
)

// patience bounds the wait for an expectation.
const patience = 30 * time.Second

// step is one scene of the demo.
type step struct {
	title string
	// did describes the actions of act, one per line.
	did    []string
	act    func(context.Context) error
	expect []expectation
}

// expectation is one row of a step's table.
type expectation struct {
	text string
	// observe returns the current observation, and whether it is the expected one.
	observe func(context.Context) (seen string, met bool, err error)
}

// narrate runs the steps and prints the results. A failed expectation does not end the demo, but makes it fail;
// a step that cannot be executed ends it.
func narrate(ctx context.Context, out io.Writer, steps []step) error {
	failed := 0
	for i, step := range steps {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, step.title)
		for _, line := range step.did {
			fmt.Fprintf(out, "   > %s\n", line)
		}
		if err := step.act(ctx); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.title, err)
		}
		begun := time.Now()
		row(out, "EXPECTED", "OBSERVED", "")
		for _, expected := range step.expect {
			seen, err := await(ctx, expected)
			result := "as expected"
			if err != nil {
				failed++
				result = "NOT AS EXPECTED"
			}
			row(out, expected.text, seen, result)
		}
		fmt.Fprintf(out, "   (%.1f s)\n", time.Since(begun).Seconds())
	}
	if failed > 0 {
		return fmt.Errorf("%d expectations were not met", failed)
	}
	return nil
}

// The widths of a table's columns, in characters.
const expectedWidth, observedWidth = 50, 62

// row prints a table's row, and wraps texts that are too long for their column.
func row(out io.Writer, expected, observed, result string) {
	left := strings.Split(wordwrap.WrapString(expected, expectedWidth), "\n")
	right := strings.Split(wordwrap.WrapString(observed, observedWidth), "\n")
	for i := range max(len(left), len(right)) {
		line := fmt.Sprintf("   %-*s  %-*s  %s", expectedWidth, at(left, i), observedWidth, at(right, i), result)
		fmt.Fprintln(out, strings.TrimRight(line, " "))
		result = ""
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// await polls until the expectation is met or patience ends, and returns the last observation.
func await(ctx context.Context, expected expectation) (seen string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = lab.Eventually(ctx, expected.text, func(ctx context.Context) (string, error) {
		now, met, err := expected.observe(ctx)
		switch {
		case err != nil:
			return "", err
		case met:
			seen = now
			return "", nil
		}
		seen = now
		return "not yet: " + now, nil
	})
	if seen == "" && err != nil {
		seen = err.Error()
	}
	return seen, err
}
