// Package version describes a program of Everynode: its source, the Go version, and the Kubernetes release of
// its libraries.
package version

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/everynode/everynode/internal/metric"
)

// version is the output of git describe, set by the linker in make build. Without it, for example with go
// install, the version is that of the main module.
var version string

// unknown is the value of fields that a build did not record.
const unknown = "unknown"

// Info describes a program. A field that the build did not record is "unknown".
type Info struct {
	Program string
	Version string
	// Revision is the commit, Time its commit time in RFC 3339, and Modified whether the source had uncommitted
	// changes.
	Revision, Time string
	Modified       bool
	// Go is the toolchain, Platform its target, for example linux/amd64.
	Go, Platform string
	// Kubernetes is the release of the linked libraries, for example v1.37.2.
	Kubernetes string
}

// Of describes the running program under the given name.
func Of(program string) Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return describe(program, version, build)
}

func describe(program, stamped string, build *debug.BuildInfo) Info {
	info := Info{
		Program: program, Version: known(stamped, build.Main.Version),
		Revision: unknown, Time: unknown,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Kubernetes: kubernetes(build.Deps),
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Revision = setting.Value
		case "vcs.time":
			info.Time = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		}
	}
	return info
}

// known returns the first non-empty value.
func known(values ...string) string {
	for _, value := range values {
		if value != "" && value != "(devel)" {
			return value
		}
	}
	return unknown
}

// kubernetes returns the release of the libraries: they are published as v0.X.Y with Kubernetes v1.X.Y, and
// everything links k8s.io/api.
func kubernetes(modules []*debug.Module) string {
	for _, module := range modules {
		if module.Path != "k8s.io/api" {
			continue
		}
		if module.Replace != nil {
			module = module.Replace
		}
		if library, ok := strings.CutPrefix(module.Version, "v0."); ok {
			return "v1." + library
		}
	}
	return unknown
}

// Asked reports whether the only argument of a program is "version".
func Asked(args []string) bool { return len(args) == 1 && args[0] == "version" }

// PrintAndExit prints the Info and exits.
func (i Info) PrintAndExit() {
	if err := i.Print(os.Stdout); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Print writes an Info for people to read.
func (i Info) Print(out io.Writer) error {
	source := i.Revision
	if i.Time != unknown {
		source += ", " + i.Time
	}
	if i.Modified {
		source += ", with uncommitted changes"
	}
	_, err := fmt.Fprintf(out, "%s %s\nsource:     %s\nbuilt by:   %s for %s\nkubernetes: libraries of %s\n",
		i.Program, i.Version, source, i.Go, i.Platform, i.Kubernetes)
	return err
}

// Fields returns an Info as keys and values of a log line.
func (i Info) Fields() []any {
	return []any{"version", i.Version, "revision", i.Revision, "modified", i.Modified, "go", i.Go, "platform", i.Platform, "kubernetes", i.Kubernetes}
}

var buildInfo = metric.NewGaugeDesc("everynode_build_info", "Version and build information of a program of Everynode; always 1.",
	metric.Label{Name: "program", Values: []string{"everynode-controller", "everynode-webhook", "everynode-scheduler"}},
	metric.Label{Name: "version", Meaning: "the release, or what git describe prints"},
	metric.Label{Name: "revision", Meaning: "the commit"},
	metric.Label{Name: "go_version", Meaning: "the Go toolchain, as go1.26.0"},
	metric.Label{Name: "kubernetes_version", Meaning: "the release of the Kubernetes libraries, as v1.37.2"})

// Metric is everynode_build_info: always 1, its labels have the Info.
func (i Info) Metric() prometheus.Collector { return collector{i} }

type collector struct{ Info }

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- buildInfo }

// Collect implements prometheus.Collector.
func (c collector) Collect(collected chan<- prometheus.Metric) {
	collected <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, c.Program, c.Version, c.Revision, c.Go, c.Kubernetes)
}
