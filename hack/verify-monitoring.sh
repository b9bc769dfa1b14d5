#!/usr/bin/env bash
# Fails when Prometheus, prometheus-operator or Grafana would not take what the chart renders for them.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go tool -modfile=tools/helm/go.mod helm template everynode deploy/chart/everynode --namespace everynode-system \
  --set metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,metrics.dashboard.enabled=true |
  go run -C tools/monitoring .
