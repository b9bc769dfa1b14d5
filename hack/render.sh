#!/usr/bin/env bash
# Renders the chart to the committed manifests: for users without helm, and for the lab.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../deploy"

# render FILE OPTION...: writes the whole file, or nothing on an error.
render() {
  local file=$1; shift
  go tool -modfile=../tools/helm/go.mod helm template everynode chart/everynode --namespace everynode-system "$@" >".$$.yaml"
  { echo "# Written by hack/render.sh from deploy/chart/everynode: helm template $*"; cat ".$$.yaml"; } >"$file"
  rm ".$$.yaml"
}
trap 'rm -f ".$$.yaml"' EXIT

# Whole installs.
whole=(--include-crds --set namespace.create=true)
render install.yaml "${whole[@]}" --set certificates.source=cert-manager
render install-selfmanaged.yaml "${whole[@]}" --set certificates.source=self-managed
# Objects that other values add to one of them, or replace.
render variants/apps.yaml --set 'workloads=everynode\,apps' --show-only templates/controller/apps.yaml
render variants/policy.yaml --set placement.admission=policy --show-only templates/policy/placement.yaml
render variants/primary.yaml --set scheduler.install=primary --show-only 'templates/scheduler/*.yaml' --show-only templates/flowschemas.yaml
