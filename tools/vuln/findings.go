package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// message is a message of govulncheck (golang.org/x/vuln/internal/govulncheck, protocol v1.0.0), as far as it is read.
type message struct {
	Config *struct {
		Protocol string `json:"protocol_version"`
	} `json:"config"`
	OSV *struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	} `json:"osv"`
	Finding *finding `json:"finding"`
}

type finding struct {
	OSV   string  `json:"osv"`
	Fixed string  `json:"fixed_version"`
	Trace []frame `json:"trace"`
}

// frame is a function on the way from a program to the vulnerable one, which comes first. Findings about a module or a package
// that is not called have no function.
type frame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Receiver string `json:"receiver"`
	Function string `json:"function"`
}

// findings are the vulnerabilities of the modules' versions, by id.
type findings struct {
	summary map[string]string
	all     map[string]bool
	called  map[string]finding
}

func parseFindings(messages io.Reader) (*findings, error) {
	found := &findings{summary: map[string]string{}, all: map[string]bool{}, called: map[string]finding{}}
	protocol := ""
	for decoder := json.NewDecoder(messages); ; {
		var next message
		err := decoder.Decode(&next)
		switch {
		case errors.Is(err, io.EOF) && protocol == "":
			return nil, errors.New("govulncheck returned nothing")
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, fmt.Errorf("reading govulncheck's messages: %w", err)
		case next.Config != nil:
			if protocol = next.Config.Protocol; !strings.HasPrefix(protocol, "v1.") {
				return nil, fmt.Errorf("govulncheck has protocol %q: findings.go reads v1", protocol)
			}
		case next.OSV != nil:
			found.summary[next.OSV.ID] = next.OSV.Summary
		case next.Finding != nil && len(next.Finding.Trace) > 0:
			found.add(*next.Finding)
		}
	}
}

// add keeps the shortest of several ways to a vulnerable function.
func (f *findings) add(this finding) {
	f.all[this.OSV] = true
	if this.Trace[0].Function == "" {
		return
	}
	if known, ok := f.called[this.OSV]; !ok || len(this.Trace) < len(known.Trace) {
		f.called[this.OSV] = this
	}
}

// exception is a vulnerability that does not concern Everynode, with the last day on which this need not be checked again.
type exception struct {
	until  time.Time
	reason string
}

// parseExceptions reads lines of an id, a day and a reason. Lines that begin with # are comments.
func parseExceptions(text string) (map[string]exception, error) {
	exceptions := map[string]exception{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.SplitN(line, " ", 3)
		if len(words) != 3 || !strings.HasPrefix(words[0], "GO-") {
			return nil, fmt.Errorf("%q: write GO-2026-1234 2027-01-31 and the reason", line)
		}
		day, err := time.Parse(time.DateOnly, words[1])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if _, twice := exceptions[words[0]]; twice {
			return nil, fmt.Errorf("%s is excepted twice", words[0])
		}
		exceptions[words[0]] = exception{day.AddDate(0, 0, 1), words[2]}
	}
	return exceptions, nil
}

// judge prints what was found, and returns an error for each vulnerability without a valid exception and each exception
// without a vulnerability.
func judge(found *findings, exceptions map[string]exception, now time.Time, out io.Writer) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(found.called)) {
		this, excepted := exceptions[id]
		if excepted && now.Before(this.until) {
			fmt.Fprintf(out, "%s is excepted: %s\n", id, this.reason)
			continue
		}
		err := fmt.Errorf("%s: %s\n%s", id, found.summary[id], describe(found.called[id]))
		if excepted {
			err = fmt.Errorf("%w\n  its exception has expired: check again whether this holds: %s", err, this.reason)
		}
		errs = append(errs, err)
	}
	for _, id := range slices.Sorted(maps.Keys(found.all)) {
		if _, called := found.called[id]; !called {
			fmt.Fprintf(out, "%s is not called: %s\n", id, found.summary[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(exceptions)) {
		if _, called := found.called[id]; !called {
			errs = append(errs, fmt.Errorf("%s is excepted, and not called: remove the exception", id))
		}
	}
	return errors.Join(errs...)
}

// describe prints the way to a vulnerable function, from the program.
func describe(this finding) string {
	vulnerable := this.Trace[0]
	lines := []string{fmt.Sprintf("  in %s %s, fixed in %s; called by", vulnerable.Module, vulnerable.Version, this.Fixed)}
	for _, frame := range slices.Backward(this.Trace) {
		name := frame.Function
		if frame.Receiver != "" {
			name = frame.Receiver + "." + name
		}
		lines = append(lines, "  "+frame.Package+"."+name)
	}
	return strings.Join(lines, "\n")
}
