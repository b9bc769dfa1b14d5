#!/usr/bin/env bash
# Fails when helm lint fails, when the test of an alert fails, or when Prometheus, prometheus-operator or Grafana would reject the chart's output.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
helm=$(go tool -n -modfile=tools/helm/go.mod helm)

# Every alert fires when it should, and not before.
go -C tools/monitoring test .
"$helm" lint --strict --quiet deploy/chart/everynode --namespace everynode-system
"$helm" template everynode deploy/chart/everynode --namespace everynode-system \
  --set metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,metrics.dashboard.enabled=true |
  go run -C tools/monitoring .
