package reference

import (
	"flag"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Flags writes a table of a program's flags.
func (p *Page) Flags(flags *pflag.FlagSet) {
	var rows [][]string
	flags.VisitAll(func(of *pflag.Flag) {
		if of.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(of)
		usage, _, _ = strings.Cut(usage, "Options are:") // the values of feature gates differ for each release
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

// CheckFlags compares a program's page with its flags: those that add adds, and controller-runtime's --kubeconfig.
func CheckFlags(t *testing.T, program, does string, add func(*flag.FlagSet)) {
	t.Helper()
	own := flag.NewFlagSet(program, flag.ContinueOnError)
	add(own)
	kubeconfig := flag.Lookup("kubeconfig")
	own.Var(kubeconfig.Value, kubeconfig.Name, kubeconfig.Usage)
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	flags.AddGoFlagSet(own)

	page := New(program, "the flags in cmd/"+program)
	page.Line("%s %s", Code(program), does)
	page.Line("%s prints what the program was built from.", Code(program+" version"))
	page.Line("## Flags")
	page.Flags(flags)
	Check(t, program+".md", page)
}
