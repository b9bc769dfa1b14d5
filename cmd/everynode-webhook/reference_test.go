package main

import (
	"flag"
	"testing"

	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/everynode-webhook.md is fresh.
func TestReferenceOfFlags(t *testing.T) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	new(options).addFlags(flags)
	kubeconfig := flag.Lookup("kubeconfig")
	flags.Var(kubeconfig.Value, kubeconfig.Name, kubeconfig.Usage)
	page := reference.New(name, "the flags in cmd/everynode-webhook")
	page.Line("%s serves admission: it pins daemon pods to their nodes, and validates DaemonSets.", reference.Code(name))
	page.Line("%s prints what the program was built from.", reference.Code(name+" version"))
	page.Line("## Flags")
	page.Flags(reference.GoFlags(flags))
	reference.Check(t, name+".md", page)
}
