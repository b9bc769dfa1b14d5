// Command figures prints what the runs of a ledger came to.
package main

import (
	"fmt"
	"os"

	"github.com/everynode/everynode/test/faults/ledger"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: figures LEDGER")
		os.Exit(2)
	}
	entries, err := ledger.Read(os.Args[1])
	if err == nil {
		err = ledger.Print(os.Stdout, entries)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}
