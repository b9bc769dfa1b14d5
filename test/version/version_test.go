// Package version tests the version reports of the built programs.
package version

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/buildinfo"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

var programs = []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler}

// Each program prints with the argument version what make build recorded in it.
func TestVersionCommand(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) {
			path := lab.Program(t, name)
			build, err := buildinfo.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), path, "version").Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(lines) != 4 {
				t.Fatalf("%d lines, want 4:\n%s", len(lines), out)
			}
			if said, version, _ := strings.Cut(lines[0], " "); said != name || version == "" || version == "unknown" {
				t.Errorf("the first line is %q, want %s and the version that make build set", lines[0], name)
			}
			if want := "built by:   " + build.GoVersion + " for "; !strings.HasPrefix(lines[2], want) {
				t.Errorf("the line is %q, want %q first", lines[2], want)
			}
			if want := "kubernetes: libraries of " + libraries(t, build); lines[3] != want {
				t.Errorf("the line is %q, want %q", lines[3], want)
			}
		})
	}
}

// libraries returns the Kubernetes release that is linked.
func libraries(t *testing.T, build *buildinfo.BuildInfo) string {
	t.Helper()
	for _, module := range build.Deps {
		if module.Path == "k8s.io/client-go" && module.Replace != nil {
			return strings.Replace(module.Replace.Version, "v0.", "v1.", 1)
		}
	}
	t.Fatal("no program can do without client-go")
	return ""
}

// Running programs report their version in the log and as a metric, and log the API server's version if they query it.
func TestVersionOfRunningPrograms(t *testing.T) {
	c := labtest.Start(t, lab.Options{})
	release, err := c.Lab.Client.Discovery().ServerVersion()
	c.Must(err)
	for _, name := range programs {
		out, err := exec.CommandContext(t.Context(), lab.Program(t, name), "version").Output()
		c.Must(err)
		version := strings.TrimPrefix(strings.SplitN(string(out), "\n", 2)[0], name+" ")
		c.Eventually(name+" reports its version", func(ctx context.Context) (string, error) {
			metrics, err := scrape(ctx, c, name)
			if err != nil {
				return "", err
			}
			for line := range strings.Lines(metrics) {
				if strings.HasPrefix(line, "everynode_build_info{") && strings.Contains(line, fmt.Sprintf("program=%q", name)) && strings.Contains(line, fmt.Sprintf("version=%q", version)) {
					return "", nil
				}
			}
			return "no everynode_build_info of version " + version, nil
		})
		log := readLog(t, c, name)
		if !strings.Contains(log, "Starting "+name) || !strings.Contains(log, fmt.Sprintf("version=%q", version)) {
			t.Errorf("the log of %s does not begin with its version", name)
		}
		if name == lab.Webhook {
			continue // it works without an API server, and does not query it
		}
		if !strings.Contains(log, fmt.Sprintf("Queried the API server's version\" version=%q", release.GitVersion)) {
			t.Errorf("the log of %s does not contain the API server's version:\n%.2000s", name, log)
		}
	}
}

// On an API server that emulates 1.35 the policies cannot be installed, and the log reports that
// no policy can place pods.
func TestPolicyThatCannotBe(t *testing.T) {
	const why = "serves no MutatingAdmissionPolicy, which is GA since Kubernetes 1.36"
	c := labtest.Start(t, lab.Options{
		Nodes: 1, Without: []string{lab.Webhook, lab.Scheduler}, // kube-scheduler may not be newer than its API server
		ExtraArgs: map[string][]string{lab.APIServer: {"--emulated-version=1.35"}},
	})
	if !strings.Contains(readLog(t, c, lab.Controller), why) {
		t.Error("everynode-controller does not log at startup that no policy can place pods")
	}
	c.Must(c.Delete(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "everynode-placement"}}))
	set := labtest.DaemonSet("not-placed")
	c.Make(set)
	c.WaitForPods(set, labtest.NodeNames(1)...)
	c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
		placement := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPlacementAdmission)
		return placement != nil && placement.Status == metav1.ConditionFalse && strings.Contains(placement.Message, why)
	})
}

func readLog(t *testing.T, c *labtest.Cluster, name string) string {
	t.Helper()
	log, err := os.ReadFile(c.Component(name).LogPath())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// scrape reads a program's metrics.
func scrape(ctx context.Context, c *labtest.Cluster, name string) (string, error) {
	url := "https://" + c.Component(name).Address() + "/metrics"
	switch name {
	case lab.Controller:
		url = "http://" + c.Component(name).PortAddress(1) + "/metrics"
	case lab.Webhook:
		url = "http://" + c.Component(name).PortAddress(2) + "/metrics"
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.Config.CAData)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	metrics, err := io.ReadAll(response.Body)
	return string(metrics), err
}
