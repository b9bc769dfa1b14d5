package labtest

import (
	"os"
	"strings"
)

// Commands returns the first commands below a heading of a document, verbatim.
func (c *Cluster) Commands(path, heading string) string {
	c.T.Helper()
	text, err := os.ReadFile(path)
	c.Must(err)
	_, section, there := strings.Cut(string(text), "\n"+heading+"\n")
	_, block, opens := strings.Cut(section, "\n```\n")
	script, _, closes := strings.Cut(block, "\n```\n")
	if !there || !opens || !closes {
		c.T.Fatalf("%s has no section %q with commands", path, heading)
	}
	return script
}
