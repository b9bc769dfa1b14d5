package labtest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/everynode/everynode/test/lab"
)

// activity is the pending and the completed work of an everynode-controller, by its own metrics.
type activity struct{ waits, working, done float64 }

// WaitForIdle waits until an everynode-controller has completed some work, and has none left: nothing is
// queued, and nothing was done between two readings. Delayed work does not count.
func (c *Cluster) WaitForIdle(controller *lab.Component) {
	c.T.Helper()
	var before activity
	c.Eventually(controller.Name()+" is idle", func(ctx context.Context) (string, error) {
		now, err := look(ctx, "http://"+controller.PortAddress(1)+"/metrics")
		if err != nil {
			return "", err
		}
		same := now == before
		if before = now; !same || now.waits > 0 || now.working > 0 {
			return fmt.Sprintf("%+v", now), nil
		}
		return "", nil
	})
}

// look sums the metrics at a URL.
func look(ctx context.Context, url string) (activity, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return activity{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return activity{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var found activity
	sums := map[string]*float64{
		"workqueue_depth":                    &found.waits,
		"controller_runtime_active_workers":  &found.working,
		"controller_runtime_reconcile_total": &found.done,
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), "{")
		sum, wanted := sums[name]
		if !wanted {
			continue
		}
		text := lines.Text()
		value, err := strconv.ParseFloat(text[strings.LastIndex(text, " ")+1:], 64)
		if err != nil {
			return activity{}, fmt.Errorf("reading metric %q: %w", text, err)
		}
		*sum += value
	}
	if found.done == 0 && lines.Err() == nil {
		return activity{}, fmt.Errorf("no work was done yet, or the metrics have other names")
	}
	return found, lines.Err()
}
