package corpus

import (
	"strings"
	"testing"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// applied is a DaemonSet with one port, as a manager applies it.
const applied = `apiVersion: everynode.dev/v1alpha1
kind: DaemonSet
metadata: {name: dns, namespace: default}
spec:
  selector: {matchLabels: {app: dns}}
  template:
    metadata: {labels: {app: dns}}
    spec:
      priorityClassName: system-node-critical
      containers:
      - name: main
        image: registry.example.com/dns:v1
        ports: [{containerPort: PORT}]
`

// A list that apps/v1 would merge is replaced here: a manager that replaces another manager's list gets a warning.
func TestReplacedListsReachTheUser(t *testing.T) {
	c := labtest.Start(t, lab.Options{Without: []string{lab.Controller, lab.EverynodeScheduler}})
	apply := func(manager, port string) string {
		_, printed, err := c.Kubectl(t.Context(), strings.Replace(applied, "PORT", port, 1), "apply", "--server-side", "--force-conflicts", "--field-manager="+manager, "--filename=-")
		c.Must(err)
		return printed
	}
	for _, step := range []struct{ manager, port, want string }{
		{"platform", "80", ""},
		{"platform", "81", ""},
		{"injector", "82", "Warning: spec.template.spec.containers[main].ports: injector replaced the list of platform; let one own it"},
		{"injector", "83", ""},
		{"platform", "80", "Warning: spec.template.spec.containers[main].ports: platform replaced the list of injector; let one own it"},
	} {
		if printed := strings.TrimSpace(apply(step.manager, step.port)); printed != step.want {
			t.Errorf("%s applies port %s: kubectl prints %q, want %q", step.manager, step.port, printed, step.want)
		}
	}
}
