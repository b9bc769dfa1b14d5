package lab

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
)

// Describe prints a short table of the components. Logs are relative to the lab's folder.
func (l *Lab) Describe(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tADDRESS\tLOG")
	for _, name := range ComponentNames {
		c := l.components[name]
		pid, address, log := "not started", "-", "-"
		if id := c.PID(); id != 0 {
			pid, address = fmt.Sprint(id), c.Address()
			if relative, err := filepath.Rel(l.Dir, c.LogPath()); err == nil {
				log = relative
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, pid, address, log)
	}
	return table.Flush()
}
