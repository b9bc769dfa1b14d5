package reference

import (
	"flag"
	"strings"

	"github.com/spf13/pflag"
)

// Flags writes a table of flags, which are a program's own.
func (p *Page) Flags(flags *pflag.FlagSet) {
	var rows [][]string
	flags.VisitAll(func(of *pflag.Flag) {
		if of.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(of)
		usage, _, _ = strings.Cut(usage, "Options are:") // those of feature gates are a page for each release
		if of.Deprecated != "" {
			usage = "Deprecated: " + of.Deprecated + " " + usage
		}
		initial := of.DefValue
		if initial == "[]" {
			initial = ""
		}
		if kind == "" {
			kind = of.Value.Type()
		}
		rows = append(rows, []string{Code("--" + of.Name), kind, Code(initial), Sentence(usage)})
	})
	p.Table([]string{"flag", "type", "default", "meaning"}, rows)
}

// GoFlags are the flags of Go's package flag, as pflag has them.
func GoFlags(flags *flag.FlagSet) *pflag.FlagSet {
	set := pflag.NewFlagSet(flags.Name(), pflag.ContinueOnError)
	set.AddGoFlagSet(flags)
	return set
}
