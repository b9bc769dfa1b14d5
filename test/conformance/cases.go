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
	// lab says what the case lacks on simulated nodes; "" means that it is whole there.
	lab string
}

// cases are those of the suite that are about DaemonSets. All of them have to pass, in a lab too.
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
		lab:  "without old pods that turn unready: that fault is an exec for a probe to see, and simulated pods have neither",
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

// plain is a case's name without its labels, for those come and go.
func plain(text string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(labels.ReplaceAllString(text, ""), " "))
}

// match finds the cases that are known among all that the suite has. Every one has to be there,
// and no other that is about DaemonSets: a new one must not be missed.
func match(known []testCase, found []spec) ([]testCase, error) {
	known = slices.Clone(known)
	var errs []error
	for _, s := range found {
		if s.LeafNodeType != "It" || !ours.MatchString(s.text()) {
			continue
		}
		i := slices.IndexFunc(known, func(c testCase) bool { return c.name == plain(s.text()) })
		if i < 0 {
			errs = append(errs, fmt.Errorf("the suite has a case that test/conformance/cases.go lacks: %q", plain(s.text())))
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

// file is the case's name as that of a file.
func (c testCase) file() string { return strings.ReplaceAll(c.name, " ", "-") }
