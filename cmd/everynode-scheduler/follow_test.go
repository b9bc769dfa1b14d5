package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/version"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	baseversion "k8s.io/component-base/version"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// newOptions returns kube-scheduler's options, with a version registry of the test's own, and their flags.
func newOptions(t *testing.T, args ...string) (*options.Options, *pflag.FlagSet) {
	t.Helper()
	registry := basecompatibility.NewComponentGlobalsRegistry()
	binary := basecompatibility.NewEffectiveVersionFromString(baseversion.DefaultKubeBinaryVersion, "1.34", "1.34")
	if err := registry.Register(basecompatibility.DefaultKubeComponent, binary, featuregate.NewFeatureGate()); err != nil {
		t.Fatal(err)
	}
	opts := options.NewOptionsWithComponentGlobalsRegistry(registry)
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return opts, flags
}

// apiServerOf returns the kubeconfig of an API server of a release that serves no policies.
func apiServerOf(t *testing.T, release string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(version.Info{GitVersion: release}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return write(t, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: %q}}], users: [{name: c, user: {}}], contexts: [{name: c, context: {cluster: c, user: c}}]}`, server.URL))
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFollow(t *testing.T) {
	own := baseversion.DefaultKubeBinaryVersion
	config := func(kubeconfig string) string {
		return write(t, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nclientConnection: {kubeconfig: "+kubeconfig+"}\n")
	}
	tests := map[string]struct {
		args []string
		want string // the release whose features are enabled
	}{
		"an API server of its release":  {[]string{"--config=" + config(apiServerOf(t, "v"+own+".2"))}, own},
		"a newer one":                   {[]string{"--config=" + config(apiServerOf(t, "v1.99.0"))}, own},
		"an older one":                  {[]string{"--config=" + config(apiServerOf(t, "v1.35.4"))}, "1.35"},
		"an older one, named by a flag": {[]string{"--kubeconfig=" + apiServerOf(t, "v1.36.3")}, "1.36"},
		"a version is set by a flag":    {[]string{"--emulated-version=1.36", "--config=" + config(apiServerOf(t, "v1.35.4"))}, "1.36"},
		"--write-config-to":             {[]string{"--write-config-to=x", "--config=" + config("/none")}, own},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			opts, flags := newOptions(t, test.args...)
			if _, err := follow(t.Context(), flags, opts); err != nil {
				t.Fatal(err)
			}
			got := opts.ComponentGlobalsRegistry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent).EmulationVersion()
			if got.String() != test.want {
				t.Errorf("it has the features of %s, want those of %s", got, test.want)
			}
		})
	}
}

func TestFollowFails(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx  context.Context
		args []string
		want string
	}{
		"no configuration":          {t.Context(), []string{"--config=/none"}, "finding the API server (set --kubeconfig, or clientConnection in the file of --config"},
		"no YAML":                   {t.Context(), []string{"--config=" + write(t, "{")}, "finding the API server"},
		"canceled before an answer": {canceled, []string{"--kubeconfig=" + apiServerOf(t, "v1.36.3")}, "waiting for the API server"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			opts, flags := newOptions(t, test.args...)
			_, err := follow(test.ctx, flags, opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("follow: %v, want %q", err, test.want)
			}
			if test.ctx == canceled && !errors.Is(err, context.Canceled) {
				t.Errorf("follow: %v, want the cause of the cancellation", err)
			}
		})
	}
}
