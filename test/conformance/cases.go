package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// testCase is a case of the suite.
type testCase struct {
	// name is the suite's, without its [labels].
	name string
	// text is the full name as the suite has it.
	text string
	// lab describes the limits of the case on simulated nodes; "" if there are none.
	lab string
}

// cases are those of the suite that are about DaemonSets. All of them have to pass, also in a lab.
var cases = []testCase{
	{name: "Daemon set should run and stop simple daemon"},
	{name: "Daemon set should run and stop complex daemon"},
	{name: "Daemon set should run and stop complex daemon with node affinity"},
	{name: "Daemon set should retry creating failed daemon pods"},
	{name: "Daemon set should not update pod when spec was updated and update strategy is OnDelete"},
	{name: "Daemon set should update pod when spec was updated and update strategy is RollingUpdate"},
	{name: "Daemon set should rollback without unnecessary restarts"},
	{
		name: "Daemon set should surge pods onto nodes when spec was updated and update strategy is RollingUpdate",
		lab:  "without old pods that become unready: the case uses exec and a probe, and simulated pods have neither",
	},
	{name: "Daemon set should list and delete a collection of DaemonSets"},
	{name: "Daemon set should verify changes to a daemon set status"},
	{name: "ControllerRevision should manage the lifecycle of a ControllerRevision"},
}

var (
	ours   = regexp.MustCompile(`(?i)daemon ?set|ControllerRevision`)
	labels = regexp.MustCompile(`\[[^\]]*\]`)
	spaces = regexp.MustCompile(`\s+`)
)

// plain returns a case's name without its labels, which change.
func plain(text string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(labels.ReplaceAllString(text, ""), " "))
}

// match finds the known cases among all cases of the suite. Each must exist, and no other case may be about
// DaemonSets, so that new ones are not missed.
func match(known []testCase, found []spec) ([]testCase, error) {
	known = slices.Clone(known)
	var errs []error
	for _, s := range found {
		if s.LeafNodeType != "It" || !ours.MatchString(s.text()) {
			continue
		}
		i := slices.IndexFunc(known, func(c testCase) bool { return c.name == plain(s.text()) })
		if i < 0 {
			errs = append(errs, fmt.Errorf("the suite has a case that test/conformance/cases.go does not list: %q", plain(s.text())))
			continue
		}
		known[i].text = s.text()
	}
	for _, c := range known {
		if c.text == "" {
			errs = append(errs, fmt.Errorf("the suite has no case %q any more: remove it from test/conformance/cases.go", c.name))
		}
	}
	return known, errors.Join(errs...)
}

// file returns the case's name as a file name.
func (c testCase) file() string { return strings.ReplaceAll(c.name, " ", "-") }
