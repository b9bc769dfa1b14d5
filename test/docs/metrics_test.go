package docs

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/ptr"

	_ "github.com/everynode/everynode/certs"
	_ "github.com/everynode/everynode/controller"
	"github.com/everynode/everynode/internal/metric"
	_ "github.com/everynode/everynode/internal/version"
	_ "github.com/everynode/everynode/schedplugin"
	"github.com/everynode/everynode/test/docs/reference"
	_ "github.com/everynode/everynode/webhook"
)

// docs/reference/metrics.md is up to date.
func TestReferenceOfMetrics(t *testing.T) {
	page := reference.New("Metrics", "their declarations, through internal/metric")
	page.Line("The programs serve these at %s, beside the metrics of controller-runtime, client-go and, in everynode-scheduler, kube-scheduler. "+
		"[install.md](../install.md) describes who may read them, the alerts and the dashboard.", reference.Code("/metrics"))
	for _, declared := range metric.Declared() {
		page.Line("## %s", declared.Name)
		page.Line("%s: %s", reference.Sentence(string(declared.Type))[:len(declared.Type)], reference.Sentence(declared.Help))
		var rows [][]string
		for _, label := range declared.Labels {
			values := make([]string, len(label.Values))
			for i, value := range label.Values {
				values[i] = reference.Code(value)
			}
			rows = append(rows, []string{reference.Code(label.Name), strings.Join(values, ", "), reference.Sentence(label.Meaning)})
		}
		page.Table([]string{"label", "values", "meaning"}, rows)
	}
	reference.Check(t, "metrics.md", page)
}

// Names, units, types and help of metrics follow Prometheus' recommendations, and every label has known values or a meaning.
func TestMetricsAreWellNamed(t *testing.T) {
	var families []*dto.MetricFamily
	types := map[metric.Type]dto.MetricType{metric.Counter: dto.MetricType_COUNTER, metric.Gauge: dto.MetricType_GAUGE, metric.Histogram: dto.MetricType_HISTOGRAM}
	for _, declared := range metric.Declared() {
		families = append(families, &dto.MetricFamily{Name: &declared.Name, Help: &declared.Help, Type: ptr.To(types[declared.Type])})
		if !strings.HasPrefix(declared.Name, "everynode_") {
			t.Errorf("%s: begin the name with everynode_", declared.Name)
		}
		for _, label := range declared.Labels {
			if len(label.Values) == 0 && label.Meaning == "" {
				t.Errorf("%s: state what the label %s may be", declared.Name, label.Name)
			}
		}
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
