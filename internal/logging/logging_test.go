package logging

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// logged returns what a program with these arguments writes to stderr when it logs one line.
func logged(t *testing.T, args ...string) (string, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = file
	t.Cleanup(func() {
		os.Stderr = stderr
		if err := logsapi.ResetForTest(nil); err != nil {
			t.Error(err)
		}
	})
	flags := flag.NewFlagSet(t.Name(), flag.ContinueOnError)
	apply := AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := apply(); err != nil {
		return "", err
	}
	klog.Background().V(1).Info("placed", "node", "n1")
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

func TestFormats(t *testing.T) {
	text, err := logged(t, "--v=1")
	if err != nil || !strings.HasSuffix(text, `"placed" node="n1"`+"\n") {
		t.Errorf("as text, %v: %q", err, text)
	}
}

func TestJSON(t *testing.T) {
	text, err := logged(t, "--v=1", "--logging-format=json")
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Msg, Node string }
	if err := json.Unmarshal([]byte(text), &line); err != nil || line.Msg != "placed" || line.Node != "n1" {
		t.Errorf("as JSON, %v: %q", err, text)
	}
}

func TestVerbosity(t *testing.T) {
	if text, err := logged(t); err != nil || text != "" {
		t.Errorf("without --v, %v: %q", err, text)
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := logged(t, "--logging-format=xml")
	if err == nil || !strings.Contains(err.Error(), "--logging-format") || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("error %v, want one that names the flag and the problem", err)
	}
}
