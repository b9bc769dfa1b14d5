package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everynode/everynode/test/race"
)

// A program of another release gets no arguments that it does not know.
func TestArgumentsThatAProgramKnows(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	help := "#!/bin/sh\ncat >&2 <<'.'\nUsage of program:\n  -workloads string\n    \tkinds to serve, see --placement-of-old\n  -leader-elect\n      --config string\n.\nexit 2\n"
	if err := os.WriteFile(program, []byte(help), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := understood(program, []string{"--workloads=apps", "--placement=auto", "--leader-elect=true", "--config=x", "--config-of-tomorrow=y"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"--workloads=apps", "--leader-elect=true", "--config=x"}, got); diff != "" {
		t.Errorf("arguments (-want, +got):\n%s", diff)
	}
	if _, err := understood(filepath.Join(t.TempDir(), "nothing"), nil); err == nil {
		t.Error("no error for a program that does not exist")
	}
}

// An incomplete release is refused; a complete one has the files of its folder.
func TestReadRelease(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRelease(dir); err == nil {
		t.Error("an empty folder is accepted as a release")
	}
	for _, file := range []string{"install-selfmanaged.yaml", "variants/apps.yaml", "variants/policy.yaml", "variants/primary.yaml"} {
		path := filepath.Join(dir, "deploy", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release, err := ReadRelease(dir)
	if err != nil || string(release.Apps) != "variants/apps.yaml" || release.programs("/root")[Controller] != filepath.Join(dir, Controller) {
		t.Errorf("release %+v, %v", release, err)
	}
	for folder, want := range map[string]string{"": "/root/bin/", "/elsewhere": "/elsewhere/"} {
		t.Setenv("EVERYNODE_PROGRAMS", folder)
		if got := Present().programs("/root")[Controller]; got != want+Controller {
			t.Errorf("with EVERYNODE_PROGRAMS=%s the present controller is %s", folder, got)
		}
	}
}

// A program that ends because of a data race fails the test, also while it is being stopped.
func TestRaceWhileStopping(t *testing.T) {
	for code, raced := range map[int]bool{0: false, 1: false, race.ExitCode: true} {
		program := filepath.Join(t.TempDir(), "program")
		script := fmt.Sprintf("#!/bin/sh\ntrap 'exit %d' TERM\necho started\nwhile :; do sleep 0.01; done\n", code)
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		c := &Component{name: "program", path: program, log: filepath.Join(t.TempDir(), "log"), held: &reservation{}, died: func(exit Exit) { t.Error(exit.Err) }}
		if err := c.start(); err != nil {
			t.Fatal(err)
		}
		started := func(context.Context) (string, error) {
			if strings.HasSuffix(c.tail(), "\nstarted") {
				return "", nil
			}
			return c.tail(), nil
		}
		if err := Eventually(t.Context(), "it has started", started); err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(t.Context()); (err != nil) != raced {
			t.Errorf("exit code %d: stopping it returns %v", code, err)
		}
	}
}
