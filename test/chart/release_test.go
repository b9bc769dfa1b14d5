package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// releaseChart packages the chart of a release as make release does, and returns its path.
func releaseChart(t *testing.T, version, repository string) (dir, output string, err error) {
	t.Helper()
	dir = t.TempDir()
	out, err := exec.CommandContext(t.Context(), "bash", root+"/hack/release-chart.sh", version, repository, dir).CombinedOutput()
	return dir, string(out), err
}

// An install from a release, with Helm or without, uses the images of that release.
func TestChartOfARelease(t *testing.T) {
	tests := map[string]struct{ version, chart string }{
		"a tag":       {"v1.2.3", "everynode-1.2.3.tgz"},
		"a candidate": {"v1.3.0-rc.1", "everynode-1.3.0-rc.1.tgz"},
		"no tag":      {"0ec565a", "everynode-0.0.0-g0ec565a.tgz"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, output, err := releaseChart(t, test.version, "registry.example.com:5000/us/everynode")
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			packaged, err := exec.CommandContext(t.Context(), helmPath(t), "template", "everynode", filepath.Join(dir, test.chart), "--namespace", "everynode-system").Output()
			if err != nil {
				t.Fatal(err)
			}
			manifests := map[string][]byte{test.chart: packaged}
			for _, file := range []string{"install.yaml", "install-selfmanaged.yaml"} {
				if manifests[file], err = os.ReadFile(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
			for file, manifest := range manifests {
				rendered := parse(t, manifest)
				for _, part := range parts {
					want := "registry.example.com:5000/us/everynode/everynode-" + part + ":" + test.version
					if got := rendered.field(t, "Deployment/everynode-"+part+" {.spec.template.spec.containers[0].image}"); got != want {
						t.Errorf("%s: the image is %s, want %s", file, got, want)
					}
				}
			}
		})
	}
	if _, output, err := releaseChart(t, "v1.2.3", "registry.example.com/us"); err == nil || !strings.Contains(output, "registry.example.com/us has to end in /everynode") {
		t.Errorf("a repository that the chart cannot name: %v, %s", err, output)
	}
}
