package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// release are the programs of a release (Makefile, BINARIES).
var release = []string{"everynode-controller", "everynode-webhook", "everynode-scheduler"}

// TestReproducible builds the programs and packs the images in two folders, copies of this source tree, and compares them byte
// by byte. No program contains a path of this machine.
//
// Both builds share Go's build cache, so a package that does not depend on its folder is compiled once: the test shows that no
// folder, time or user is part of a program or an image, and that linking and packing are deterministic. It shows the same of
// compiling only with EVERYNODE_REBUILD=1 (make test-reproducible), where the second build has an empty cache, for ten minutes.
// It does not compare Go releases or platforms.
func TestReproducible(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	first := buildIn(t, root, "first")
	if os.Getenv("EVERYNODE_REBUILD") != "" {
		t.Setenv("GOCACHE", t.TempDir())
	}
	second := buildIn(t, root, "second")
	for _, program := range release {
		for _, file := range []string{"bin/" + program, "bin/image/" + program + ".tar"} {
			one, other := read(t, first, file), read(t, second, file)
			if !bytes.Equal(one, other) {
				t.Errorf("%s differs: sha256 %x and %x", file, sha256.Sum256(one), sha256.Sum256(other))
			}
			t.Logf("%s: %d bytes, sha256 %x", file, len(one), sha256.Sum256(one))
			for what, path := range machinePaths(t, first) {
				if bytes.Contains(one, []byte(path)) {
					t.Errorf("%s contains %s, %s", file, what, path)
				}
			}
		}
	}
}

// buildIn builds programs and images in a copy of the source tree, whose folder it returns.
func buildIn(t *testing.T, root, name string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), name)
	copyTree(t, root, folder)
	for _, args := range [][]string{
		{"make", "build", "RELEASE=v0.0.0-reproducible"},
		append([]string{"bash", "hack/images.sh", "reproducible", "v0.0.0-reproducible"}, release...),
	} {
		command := exec.Command(args[0], args[1:]...)
		command.Dir = folder
		command.Env = append(os.Environ(), "DOCKER_HOST=unix:///nonexistent", "MAKEFLAGS=") // no image is loaded
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	return folder
}

// copyTree copies the files that git knows or would add.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	list := exec.Command("git", "-C", from, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	names, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, info.Mode().Perm()|0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, folder, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// machinePaths are paths that say where a program was built.
func machinePaths(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths := map[string]string{"the folder of the source": folder}
	for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
		path, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		paths[name] = strings.TrimSpace(string(path))
	}
	return paths
}
