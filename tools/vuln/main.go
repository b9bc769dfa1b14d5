// Command vuln runs govulncheck on Everynode's programs, with a database made of the module golang.org/x/vulndb, and
// fails on each vulnerability whose code they call, unless an exception with a reason covers it that has not expired.
//
//	vuln -vulndb FOLDER -exceptions FILE [-C FOLDER] PACKAGE...
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/vuln/scan"
)

func main() {
	var o options
	flag.StringVar(&o.vulndb, "vulndb", "", "folder of the module golang.org/x/vulndb")
	flag.StringVar(&o.exceptions, "exceptions", "", "file of exceptions: id, last day, reason")
	flag.StringVar(&o.module, "C", ".", "folder of the module that has the packages")
	flag.Parse()
	o.packages = flag.Args()
	if err := run(context.Background(), o, time.Now(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vuln:", err)
		os.Exit(1)
	}
}

type options struct {
	vulndb, exceptions, module string
	packages                   []string
}

func run(ctx context.Context, o options, now time.Time, out io.Writer) error {
	if o.vulndb == "" || o.exceptions == "" || len(o.packages) == 0 {
		return errors.New("arguments are missing; usage: vuln -vulndb FOLDER -exceptions FILE [-C FOLDER] PACKAGE [PACKAGE]")
	}
	text, err := os.ReadFile(o.exceptions)
	if err != nil {
		return err
	}
	exceptions, err := parseExceptions(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", o.exceptions, err)
	}
	database, err := os.MkdirTemp("", "vulndb-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(database) }()
	entries, err := buildDatabase(o.vulndb, database)
	if err != nil {
		return err
	}
	messages, err := govulncheck(ctx, database, o)
	if err != nil {
		return err
	}
	found, err := parseFindings(messages)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d vulnerabilities are known; %d of the packages' modules, of which %d are called\n", entries, len(found.all), len(found.called))
	return judge(found, exceptions, now, out)
}

// govulncheck returns its messages, in JSON. With this format it succeeds whatever it finds.
func govulncheck(ctx context.Context, database string, o options) (io.Reader, error) {
	var messages, log bytes.Buffer
	command := scan.Command(ctx, append([]string{"-C", o.module, "-db", "file://" + database, "-format", "json"}, o.packages...)...)
	command.Stdout, command.Stderr = &messages, &log
	if err := command.Start(); err != nil {
		return nil, err
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("govulncheck: %w: %s", err, log.String())
	}
	return &messages, nil
}
