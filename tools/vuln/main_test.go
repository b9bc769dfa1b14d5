package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// report is about two functions of every release of Go.
const report = `{"schema_version":"1.3.1","id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z","published":"2026-01-01T00:00:00Z","summary":"repeats too much","affected":[
 {"package":{"name":"stdlib","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":"strings","symbols":["Repeat"]}]}},
 {"package":{"name":"stdlib","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":"bytes","symbols":["Repeat"]}]}}]}`

// govulncheck finds a vulnerability in a database that is built from reports, in a program that calls the function,
// and nothing in one that does not.
func TestFindsWhatIsCalled(t *testing.T) {
	vulndb := write(t, map[string]string{"data/osv/GO-2026-9999.json": report})
	exceptions := filepath.Join(write(t, map[string]string{"exceptions.txt": "# none\n"}), "exceptions.txt")
	for text, want := range map[string]string{
		`package main; import "strings"; func main() { println(strings.Repeat("x", 2)) }`:  "GO-2026-9999: repeats too much",
		`package main; import "strings"; func main() { println(strings.ToUpper("x")) }`:    "",
		`package main; import "bytes"; func main() { println(len(bytes.Repeat(nil, 2))) }`: "GO-2026-9999: repeats too much",
	} {
		module := write(t, map[string]string{"go.mod": "module example.com/x\n\ngo 1.26\n", "main.go": text})
		err := run(t.Context(), options{vulndb: vulndb, exceptions: exceptions, module: module, packages: []string{"./..."}}, time.Now(), t.Output())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", text, err, want)
		}
	}
}

// A folder without reports is no database in which nothing is vulnerable.
func TestEmptyDatabase(t *testing.T) {
	if _, err := buildDatabase(t.TempDir(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no reports") {
		t.Errorf("the error is %v", err)
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
