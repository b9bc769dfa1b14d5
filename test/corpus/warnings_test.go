package corpus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// kubectl prints the webhook's warnings, and the webhook has permission to read the DaemonSets that it compares with.
func TestWarningsReachTheUser(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "lawful.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lawful := document{text: string(text)}
	unranked := document{text: strings.Replace(lawful.text, "priorityClassName: system-node-critical", "", 1)}
	c := labtest.Start(t, lab.Options{})
	warnings := func(ctx context.Context, doc document, args ...string) string {
		_, said, err := c.Kubectl(ctx, doc.as(ourVersion), append(args, "--filename=-")...)
		c.Must(err)
		return said
	}
	if said := warnings(t.Context(), lawful, "create", "--dry-run=server"); said != "" {
		t.Errorf("a DaemonSet without problems: %s", said)
	}
	if said := warnings(t.Context(), unranked, "create", "--dry-run=server"); !strings.Contains(said, "Warning: spec.template.spec: without priorityClassName") {
		t.Errorf("kubectl prints %q, want a warning", said)
	}
	_, _, err = c.Kubectl(t.Context(), lawful.text, "create", "--filename=-")
	c.Must(err)
	c.Eventually("the webhook knows the native DaemonSet", func(ctx context.Context) (string, error) {
		if said := warnings(ctx, lawful, "create", "--dry-run=server"); !strings.Contains(said, "Warning: spec.selector: it matches the pods of DaemonSet.apps lawful too") {
			return fmt.Sprintf("kubectl prints %q", said), nil
		}
		return "", nil
	})
	c.NothingForbidden()
}
