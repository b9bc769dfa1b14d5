package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestDescribe(t *testing.T) {
	repository := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "8adf9a2"}, {Key: "vcs.time", Value: "2026-11-28T15:20:11Z"}, {Key: "vcs.modified", Value: "true"},
	}
	library := func(version string) *debug.Module {
		return &debug.Module{Path: "k8s.io/api", Version: version}
	}
	tests := map[string]struct {
		stamped string
		build   debug.BuildInfo
		want    Info
	}{
		"make build in a repository": {
			stamped: "v0.2.0-3-g8adf9a2",
			build:   debug.BuildInfo{Main: debug.Module{Version: "v0.2.1-0.20261128152011-8adf9a2"}, Settings: repository, Deps: []*debug.Module{library("v0.37.2")}},
			want:    Info{Version: "v0.2.0-3-g8adf9a2", Revision: "8adf9a2", Time: "2026-11-28T15:20:11Z", Modified: true, Kubernetes: "v1.37.2"},
		},
		"go install of a release": {
			build: debug.BuildInfo{Main: debug.Module{Version: "v0.2.0"}, Deps: []*debug.Module{{Path: "k8s.io/client-go", Version: "v0.1.0"}, library("v0.37.2")}},
			want:  Info{Version: "v0.2.0", Revision: "unknown", Time: "unknown", Kubernetes: "v1.37.2"},
		},
		"the library is replaced": {
			build: debug.BuildInfo{Deps: []*debug.Module{{Path: "k8s.io/api", Version: "v0.0.0", Replace: library("v0.36.3")}}},
			want:  Info{Version: "unknown", Revision: "unknown", Time: "unknown", Kubernetes: "v1.36.3"},
		},
		"a test's build": {
			build: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}},
			want:  Info{Version: "unknown", Revision: "unknown", Time: "unknown", Kubernetes: "unknown"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Program = "everynode-controller"
			test.want.Go, test.want.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
			if diff := cmp.Diff(test.want, describe("everynode-controller", test.stamped, &test.build)); diff != "" {
				t.Errorf("describe (-want, +got):\n%s", diff)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	committed := Info{
		Program: "everynode-webhook", Version: "v0.2.0", Revision: "8adf9a2", Time: "2026-11-28T15:20:11Z",
		Go: "go1.26.8", Platform: "linux/arm64", Kubernetes: "v1.37.2",
	}
	modified, unrecorded := committed, committed
	modified.Modified = true
	unrecorded.Revision, unrecorded.Time = unknown, unknown
	tests := map[string]struct {
		info Info
		want string
	}{
		"committed":  {committed, "source:     8adf9a2, 2026-11-28T15:20:11Z\n"},
		"modified":   {modified, "source:     8adf9a2, 2026-11-28T15:20:11Z, with uncommitted changes\n"},
		"unrecorded": {unrecorded, "source:     unknown\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := "everynode-webhook v0.2.0\n" + test.want + "built by:   go1.26.8 for linux/arm64\nkubernetes: libraries of v1.37.2\n"
			var got strings.Builder
			if err := test.info.Print(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("Print (-want, +got):\n%s", diff)
			}
		})
	}
}

func TestMetric(t *testing.T) {
	info := Info{Program: "everynode-scheduler", Version: "v0.2.0", Revision: "8adf9a2", Go: "go1.26.8", Kubernetes: "v1.37.2"}
	want := `# HELP everynode_build_info Version and build information of a program of Everynode; always 1.
# TYPE everynode_build_info gauge
everynode_build_info{go_version="go1.26.8",kubernetes_version="v1.37.2",program="everynode-scheduler",revision="8adf9a2",version="v0.2.0"} 1
`
	if err := testutil.CollectAndCompare(info.Metric(), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestAsked(t *testing.T) {
	tests := map[string]struct {
		args []string
		want bool
	}{
		"the word":     {[]string{"version"}, true},
		"nothing":      {nil, false},
		"a flag":       {[]string{"--version"}, false},
		"more than it": {[]string{"version", "--workers=2"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Asked(test.args); got != test.want {
				t.Errorf("Asked(%q) = %t, want %t", test.args, got, test.want)
			}
		})
	}
}
