package chart

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	_ "github.com/everynode/everynode/certs"
	_ "github.com/everynode/everynode/controller"
	"github.com/everynode/everynode/internal/metric"
	_ "github.com/everynode/everynode/internal/version"
	_ "github.com/everynode/everynode/schedplugin"
	_ "github.com/everynode/everynode/webhook"
)

// ours returns the names of all Everynode metrics in a text.
var ours = regexp.MustCompile(`\beverynode_\w+`)

// registered returns the metrics of the three programs.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, declaration := range metric.Declared() {
		known[declaration.Name] = true
	}
	if len(known) == 0 {
		t.Fatal("no metric is declared")
	}
	return known
}

// checkMetrics verifies that all metrics of an expression exist.
func checkMetrics(t *testing.T, known map[string]bool, where, expression string) {
	t.Helper()
	for _, name := range ours.FindAllString(expression, -1) {
		if !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("%s uses the metric %s, which does not exist", where, name)
		}
	}
}

func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(chart + "/files/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	known, alerts := registered(t), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			if !ours.MatchString(rule.Expr) {
				t.Errorf("alert %s uses no Everynode metric: %s", rule.Alert, rule.Expr)
			}
			checkMetrics(t, known, "alert "+rule.Alert, rule.Expr)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("alert %s has no severity, a summary or a description", rule.Alert)
			}
		}
	}
	if alerts == 0 {
		t.Error("there are no alerts")
	}
}

// info describes a program, and changes only with releases.
const info = "everynode_build_info"

// The dashboard uses metrics that exist, and shows each Everynode metric whose value changes.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(chart + "/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	known := registered(t)
	var all strings.Builder
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			checkMetrics(t, known, "panel "+panel.Title, target.Expr)
			all.WriteString(target.Expr + "\n")
		}
	}
	for name := range known {
		if name != info && !strings.Contains(all.String(), name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}
