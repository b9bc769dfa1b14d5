package main

import (
	"flag"
	"testing"

	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/everynode-controller.md is up to date.
func TestReferenceOfFlags(t *testing.T) {
	reference.CheckFlags(t, name, "maintains DaemonSets: it creates and deletes their pods, and writes their status.",
		func(flags *flag.FlagSet) { new(options).addFlags(flags) })
}
