package certs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"
)

// The alerts that ship are about metrics that there are.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile("../deploy/chart/everynode/files/rules.yaml")
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
	var known strings.Builder
	described := make(chan *prometheus.Desc, 2)
	renewalErrors.Describe(described)
	NewExpirationCollector(nil).Describe(described)
	close(described)
	for description := range described {
		known.WriteString(description.String())
	}
	metric := regexp.MustCompile(`everynode_\w+`)
	alerts := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			names := metric.FindAllString(rule.Expr, -1)
			if len(names) == 0 {
				t.Errorf("alert %s is about none of our metrics: %s", rule.Alert, rule.Expr)
			}
			for _, name := range names {
				if !strings.Contains(known.String(), `"`+name+`"`) {
					t.Errorf("alert %s is about %s, which nobody has", rule.Alert, name)
				}
			}
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("alert %s lacks a severity, a summary or a description", rule.Alert)
			}
		}
	}
	if alerts == 0 {
		t.Error("there are no alerts")
	}
}
