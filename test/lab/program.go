package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// Program returns the path of one of Everynode's programs, built by make build.
func Program(t testing.TB, name string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := findRoot(here)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := findBinaries(root, "", Present(), func(wanted string) bool { return wanted == name })
	if err != nil {
		t.Fatal(err)
	}
	return paths[name]
}

// StartProgram runs a program without a lab, for tests that provide its environment. It ends with the test,
// which fails if it ends earlier. The test decides when it is ready.
func StartProgram(t testing.TB, path string, args ...string) *Component {
	t.Helper()
	name := filepath.Base(path)
	c := &Component{
		name: name, path: path, args: args,
		log:  filepath.Join(t.TempDir(), name+".log"),
		held: &reservation{},
		died: func(exit Exit) { t.Errorf("%v", exit.Err) },
	}
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testStopLimit)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, c.tail())
		}
	})
	return c
}
