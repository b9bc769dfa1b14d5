package main

import (
	"testing"

	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/everynode/everynode/schedplugin"
	"github.com/everynode/everynode/test/docs/reference"
)

// docs/reference/everynode-scheduler.md is up to date.
func TestReferenceOfFlags(t *testing.T) {
	sets := addFlags(options.NewOptions(), new(schedplugin.Options))
	page := reference.New(name, "the flags in cmd/everynode-scheduler, and kube-scheduler's own")
	page.Line("%s is kube-scheduler with Everynode's plugins. %s prints what the program was built from.", reference.Code(name), reference.Code(name+" version"))
	page.Line("## Flags of Everynode")
	page.Flags(sets.FlagSet(ownFlags))
	page.Line("## Flags of kube-scheduler")
	page.Line("The values of --feature-gates are those of the Kubernetes release that %s was built from: %s lists them.", reference.Code(name), reference.Code(name+" --help"))
	for _, title := range sets.Order {
		if title == ownFlags {
			continue
		}
		page.Line("### %s", reference.Sentence(title)[:len(title)])
		page.Flags(sets.FlagSet(title))
	}
	reference.Check(t, name+".md", page)
}
