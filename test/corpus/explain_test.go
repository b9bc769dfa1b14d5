package corpus

import (
	"context"
	"strings"
	"testing"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// kubectl explain describes the fields of a DaemonSet.
func TestExplain(t *testing.T) {
	c := labtest.Start(t, lab.Options{Without: []string{lab.ControllerManager, lab.Scheduler, lab.Controller, lab.Webhook, lab.EverynodeScheduler, lab.Kwok}})
	// An API server publishes the schema of a CustomResourceDefinition a moment after it serves it.
	c.Eventually("kubectl explain knows DaemonSets of everynode.dev", func(ctx context.Context) (string, error) {
		_, _, err := c.Kubectl(ctx, "", "explain", "nds")
		return "", err
	})
	for field, want := range map[string]string{
		"nds":                                 "runs one copy of a pod on every eligible node",
		"nds.spec.updateStrategy":             "replace existing pods with new pods when the template changes",
		"nds.spec.updateStrategy.type":        "Defaults to RollingUpdate",
		"nds.spec.minReadySeconds":            "minimum number of seconds",
		"nds.status.desiredNumberScheduled":   "number of eligible nodes",
		"nds.status.conditions.reason":        "reason for the condition's last transition",
		"nds.spec.selector.matchLabels":       "map of {key,value} pairs",
		"nds.spec.template":                   `"kubectl explain pod.spec"`,
		"nds.spec.template.spec.nodeSelector": "<map[string]string>",
	} {
		printed, _, err := c.Kubectl(t.Context(), "", "explain", field)
		c.Must(err)
		if text := strings.Join(strings.Fields(printed), " "); !strings.Contains(text, want) {
			t.Errorf("kubectl explain %s prints no %q:\n%s", field, want, printed)
		}
	}
}
