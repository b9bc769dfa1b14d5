package lifecycle

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Every pod that a burst creates and that a rollout deletes is named in an event of its DaemonSet, for both kinds,
// at a fraction of a write for each pod.
func TestEventsNameEveryPod(t *testing.T) {
	const many = 50
	c := labtest.Start(t, lab.Options{Nodes: many, Workloads: lab.WorkloadsBoth})
	witness := c.Watch()
	all := intstr.FromString("100%")
	for _, kind := range bothKinds {
		before, mark := eventWrites(c), c.Mark(witness)
		w := c.MakeWorkload(kind, labtest.DaemonSet("told-"+strings.Split(kind.Group, ".")[0], func(set *v1alpha1.DaemonSet) {
			set.Spec.UpdateStrategy.RollingUpdate = &v1alpha1.RollingUpdateDaemonSet{MaxUnavailable: &all}
		}))
		complete := func(status *v1alpha1.DaemonSetStatus) bool {
			return status.UpdatedNumberScheduled == many && status.NumberAvailable == many
		}
		c.WaitForWorkload(w, "its pods", complete)
		c.ChangeWorkload(w, func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image += ":2" })
		c.WaitForWorkload(w, "its new pods", complete)
		deeds := c.Since(witness, mark)
		c.Eventually("every pod is named", func(ctx context.Context) (string, error) { return unnamed(ctx, c, w, deeds) })
		if len(deeds) != 3*many {
			t.Errorf("%s: %d pods were created or deleted, want %d", kind, len(deeds), 3*many)
		}
		writes := eventWrites(c) - before
		t.Logf("%s: %d writes of events for %d pods created or deleted", kind, writes, len(deeds))
		if writes > len(deeds)/2 {
			t.Errorf("%s: %d writes of events for %d pods created or deleted, want at most half as many", kind, writes, len(deeds))
		}
	}
	c.Verdict(witness, 4*many)
	c.NothingForbidden()
}

// unnamed returns a pod that no event of a DaemonSet names.
func unnamed(ctx context.Context, c *labtest.Cluster, w *labtest.Workload, deeds []labtest.Deed) (string, error) {
	var events corev1.EventList
	if err := c.List(ctx, &events, client.InNamespace(w.Namespace)); err != nil {
		return "", err
	}
	notes := map[bool]string{}
	for i := range events.Items {
		event := &events.Items[i]
		if event.InvolvedObject.UID == w.UID && event.InvolvedObject.Kind == "DaemonSet" && event.InvolvedObject.ResourceVersion == "" {
			notes[event.Reason == "SuccessfulCreate"] += event.Message + "\n"
		}
	}
	for _, deed := range deeds {
		if !strings.Contains(notes[deed.Made], deed.Pod) {
			return fmt.Sprintf("%+v is not in:\n%s", deed, notes[deed.Made]), nil
		}
	}
	return "", nil
}

// eventWrites returns the number of write requests for events so far, by the API server's own count.
func eventWrites(c *labtest.Cluster) (writes int) {
	c.T.Helper()
	metrics, err := c.API.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(c.T.Context())
	c.Must(err)
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, len(metrics)+1)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="events"`) ||
			!strings.Contains(line, `group="events.k8s.io"`) || !strings.Contains(line, `verb="P`) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		c.Must(err)
		writes += int(value)
	}
	return writes
}
