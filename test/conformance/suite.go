package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// caseLimit bounds one case; the longest takes three minutes on an idle machine.
	caseLimit = 20 * time.Minute
	passed    = "passed"
)

// suite is the program with Kubernetes' own cases.
type suite struct {
	program, kubectl, kubeconfig string
	// dir is the folder of the program's output.
	dir string
}

func newSuite(o options) (*suite, error) {
	for _, program := range []string{o.suite, o.kubectl} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w; run: make conformance", err)
		}
	}
	dir := filepath.Join(o.dir, "cases")
	return &suite{program: o.suite, kubectl: o.kubectl, kubeconfig: o.kubeconfig, dir: dir}, os.MkdirAll(dir, 0o755)
}

// spec is the part of a Ginkgo report about a case, or about another node of the suite.
type spec struct {
	ContainerHierarchyTexts    []string
	LeafNodeType, LeafNodeText string
	State                      string
	RunTime                    time.Duration
	Failure                    struct{ Message string }
}

// text is the full name, which the suite's focus matches.
func (s spec) text() string {
	return strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " ")
}

// list returns all cases of the suite; it needs no cluster.
func (s *suite) list(ctx context.Context) ([]spec, error) {
	specs, err := s.execute(ctx, "list", "--ginkgo.dry-run")
	if err != nil {
		return nil, fmt.Errorf("listing the suite's cases: %w", err)
	}
	return specs, nil
}

// result is a case's result: its Ginkgo state, and the reason if it did not pass.
type result struct {
	state, why string
	took       time.Duration
}

// run runs one case.
func (s *suite) run(ctx context.Context, c testCase) result {
	begun := time.Now()
	specs, err := s.execute(ctx, c.file(),
		"--kubeconfig="+s.kubeconfig,
		"--kubectl-path="+s.kubectl,
		"--provider=skeleton",
		"--ginkgo.focus="+regexp.QuoteMeta(c.text)+"$",
		"--ginkgo.timeout="+caseLimit.String(),
		"--ginkgo.v",
	)
	got := verdict(specs, c.text)
	got.took = time.Since(begun)
	if got.state != passed && got.why == "" && err != nil {
		got.why = err.Error()
	}
	return got
}

// verdict reads the result of a case from a report, including the suite's own setup and teardown.
func verdict(specs []spec, text string) result {
	got := result{state: "not run"}
	for _, s := range specs {
		if s.LeafNodeType == "It" {
			if s.text() != text {
				continue
			}
			got.state = s.State
		}
		if got.why == "" {
			got.why, _, _ = strings.Cut(s.Failure.Message, "\n")
		}
	}
	if got.state == passed && got.why != "" {
		got.state = "failed"
	}
	return got
}

// execute runs the program and returns its report. An error need not mean that there is none: the exit status
// is also 1 when a case fails.
func (s *suite) execute(ctx context.Context, name string, args ...string) ([]spec, error) {
	report, log := filepath.Join(s.dir, name+".json"), filepath.Join(s.dir, name+".log")
	if err := os.Remove(report); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	cmd := exec.CommandContext(ctx, s.program, append(args, "--ginkgo.json-report="+report, "--ginkgo.no-color")...)
	cmd.Stdout, cmd.Stderr = output, output
	ran := cmd.Run()
	if ran != nil {
		ran = fmt.Errorf("%w: see %s", ran, log)
	}
	specs, err := readReport(report)
	return specs, errors.Join(ran, err)
}

func readReport(path string) ([]spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites []struct{ SpecReports []spec }
	if err := json.Unmarshal(data, &suites); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var specs []spec
	for _, s := range suites {
		specs = append(specs, s.SpecReports...)
	}
	return specs, nil
}
