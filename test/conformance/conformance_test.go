package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// report is a Ginkgo report, reduced to the fields that are read.
const report = `[{"SuiteDescription": "Kubernetes e2e suite", "SpecReports": [
	{"LeafNodeType": "SynchronizedBeforeSuite", "LeafNodeText": "", "State": "passed", "RunTime": 1000000},
	{"ContainerHierarchyTexts": ["[sig-apps] Daemon set [Serial]"], "LeafNodeType": "It", "LeafNodeText": "should run [Conformance]",
	 "State": "failed", "RunTime": 43000000000, "Failure": {"Message": "error waiting for daemon pod to start: timed out\nmore"}},
	{"ContainerHierarchyTexts": ["[sig-apps] Daemon set [Serial]"], "LeafNodeType": "It", "LeafNodeText": "should stop", "State": "passed"},
	{"ContainerHierarchyTexts": ["[sig-apps] Job"], "LeafNodeType": "It", "LeafNodeText": "should complete", "State": "skipped"}
]}]`

func specsOf(t *testing.T, text string) []spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	specs, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func TestVerdict(t *testing.T) {
	const broken = `[{"SpecReports": [
		{"LeafNodeType": "SynchronizedBeforeSuite", "State": "failed", "Failure": {"Message": "no such cluster"}},
		{"ContainerHierarchyTexts": ["A"], "LeafNodeType": "It", "LeafNodeText": "b", "State": "skipped"}]}]`
	const brokenAfter = `[{"SpecReports": [
		{"ContainerHierarchyTexts": ["A"], "LeafNodeType": "It", "LeafNodeText": "b", "State": "passed"},
		{"LeafNodeType": "SynchronizedAfterSuite", "State": "failed", "Failure": {"Message": "cannot clean up"}}]}]`
	tests := map[string]struct {
		report, text string
		want         result
	}{
		"a case that passed":      {report, "[sig-apps] Daemon set [Serial] should stop", result{state: passed}},
		"a case that failed":      {report, "[sig-apps] Daemon set [Serial] should run [Conformance]", result{state: "failed", why: "error waiting for daemon pod to start: timed out"}},
		"a case that was skipped": {report, "[sig-apps] Job should complete", result{state: "skipped"}},
		"an unknown case":         {report, "no such case", result{state: "not run"}},
		"the setup fails":         {broken, "A b", result{state: "skipped", why: "no such cluster"}},
		"the teardown fails":      {brokenAfter, "A b", result{state: "failed", why: "cannot clean up"}},
		"an empty report":         {`[]`, "A b", result{state: "not run"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := verdict(specsOf(t, test.report), test.text); got != test.want {
				t.Errorf("verdict: %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	run, stop := testCase{name: "Daemon set should run"}, testCase{name: "Daemon set should stop", lab: "a reason"}
	tests := map[string]struct {
		known  []testCase
		report string
		// wantErr is a part of the error; "" means that all cases are found.
		wantErr string
	}{
		"all cases are known":      {[]testCase{run, stop}, report, ""},
		"a new case":               {[]testCase{run}, report, `does not list: "Daemon set should stop"`},
		"a removed case":           {[]testCase{run, stop, {name: "Daemon set should fly"}}, report, `no case "Daemon set should fly" any more`},
		"the suite lists no cases": {[]testCase{run, stop}, `[]`, `no case "Daemon set should run" any more`},
		"a new group":              {[]testCase{run, stop}, strings.Replace(report, "[sig-apps] Job", "DaemonSet rollouts", 1), `does not list: "DaemonSet rollouts should complete"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := match(test.known, specsOf(t, test.report))
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("match: %v, want an error with %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := "[sig-apps] Daemon set [Serial] should run [Conformance]"; got[0].text != want {
				t.Errorf("full name %q, want %q", got[0].text, want)
			}
			if got[1].lab != "a reason" {
				t.Errorf("the reason was lost: %+v", got[1])
			}
		})
	}
}

func TestMakers(t *testing.T) {
	yes := true
	pod := func(kind, apiVersion string, managers ...metav1.ManagedFieldsEntry) *corev1.Pod {
		owner := metav1.OwnerReference{Kind: kind, APIVersion: apiVersion, Controller: &yes}
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{owner}, ManagedFields: managers}}
	}
	made := metav1.ManagedFieldsEntry{Manager: "everynode-controller"}
	scheduled := metav1.ManagedFieldsEntry{Manager: "a-scheduler", Subresource: "status"}
	m := &makers{count: map[string]int{}}
	for range 2 {
		m.add(pod("DaemonSet", "apps/v1", scheduled, made), false)
	}
	m.add(pod("DaemonSet", "apps/v1", metav1.ManagedFieldsEntry{Manager: "before the cases"}), true)
	m.add(pod("DaemonSet", "everynode.dev/v1alpha1", metav1.ManagedFieldsEntry{Manager: "not of apps"}), false)
	m.add(pod("ReplicaSet", "apps/v1", metav1.ManagedFieldsEntry{Manager: "not of a DaemonSet"}), false)
	m.add(&corev1.Pod{}, false)
	if got, want := m.String(), "everynode-controller (2)"; got != want {
		t.Errorf("makers: %s, want %s", got, want)
	}
}
