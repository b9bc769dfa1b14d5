package main

import (
	"flag"
	"testing"

	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/everynode-controller.md is fresh.
func TestReferenceOfFlags(t *testing.T) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	new(options).addFlags(flags)
	kubeconfig := flag.Lookup("kubeconfig")
	flags.Var(kubeconfig.Value, kubeconfig.Name, kubeconfig.Usage)
	page := reference.New(name, "the flags in cmd/everynode-controller")
	page.Line("%s keeps DaemonSets up: it creates and deletes their pods, and writes their status.", reference.Code(name))
	page.Line("%s prints what the program was built from.", reference.Code(name+" version"))
	page.Line("## Flags")
	page.Flags(reference.GoFlags(flags))
	reference.Check(t, name+".md", page)
}
