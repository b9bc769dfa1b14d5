// Command monitoring checks the chart's output for Prometheus and Grafana, read from standard input:
// ServiceMonitors and PrometheusRules match prometheus-operator's types, and every expression of a rule and of
// a dashboard is PromQL. test/chart checks that their metrics exist.
//
//	helm template … | monitoring
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

var promQL = parser.NewParser(parser.Options{})

func main() {
	if err := run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// seen counts the checked objects, because missing ones must not pass.
type seen struct {
	monitors, rules, expressions int
}

func run(manifest io.Reader) error {
	var s seen
	var errs []error
	decoder := yaml.NewYAMLOrJSONDecoder(manifest, 4096)
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		errs = append(errs, s.check(raw))
	}
	if s.monitors == 0 || s.rules == 0 || s.expressions == 0 {
		errs = append(errs, fmt.Errorf("%d ServiceMonitors, %d rules and %d expressions of a dashboard are rendered: some of each are required", s.monitors, s.rules, s.expressions))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("%d ServiceMonitor, %d rules and %d expressions of the dashboard are valid\n", s.monitors, s.rules, s.expressions)
	return nil
}

func (s *seen) check(raw []byte) error {
	var object struct {
		Kind string
		Data map[string]string
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	switch object.Kind {
	case "ServiceMonitor":
		s.monitors++
		return sigsyaml.UnmarshalStrict(raw, &monitoringv1.ServiceMonitor{})
	case "PrometheusRule":
		return s.checkRules(raw)
	case "ConfigMap":
		var errs []error
		for name, text := range object.Data {
			if strings.HasSuffix(name, ".json") {
				errs = append(errs, s.checkDashboard(text))
			}
		}
		return errors.Join(errs...)
	}
	return nil
}

func (s *seen) checkRules(raw []byte) error {
	var rule monitoringv1.PrometheusRule
	if err := sigsyaml.UnmarshalStrict(raw, &rule); err != nil {
		return err
	}
	groups, err := sigsyaml.Marshal(rule.Spec)
	if err != nil {
		return err
	}
	parsed, errs := rulefmt.Parse(groups, false, model.UTF8Validation, promQL, slog.Default())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the rules: %w", err)
	}
	for _, group := range parsed.Groups {
		s.rules += len(group.Rules)
	}
	return nil
}

// checkDashboard reads the expressions of all panels.
func (s *seen) checkDashboard(text string) error {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		return fmt.Errorf("the dashboard: %w", err)
	}
	var errs []error
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			s.expressions++
			// Grafana replaces this variable.
			if _, err := promQL.ParseExpr(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")); err != nil {
				errs = append(errs, fmt.Errorf("the dashboard's %q: %w", panel.Title, err))
			}
		}
	}
	return errors.Join(errs...)
}
