package main

import (
	"flag"
	"testing"

	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/everynode-webhook.md is up to date.
func TestReferenceOfFlags(t *testing.T) {
	reference.CheckFlags(t, name, "serves admission: it pins daemon pods to their nodes, and validates DaemonSets.",
		func(flags *flag.FlagSet) { new(options).addFlags(flags) })
}
