#!/usr/bin/env bash
# Runs test/e2e: creates kind clusters, installs Everynode in them, tests it, and deletes them.
#
#   hack/e2e.sh [ARGUMENT OF go test...]
#
#     KIND_NODE_IMAGE      the node image; by default the one that kind's release was published with
#     EVERYNODE_E2E_KEEP   if set, keeps the clusters
#
# Diagnostics of a failure are in .e2e/<cluster>/logs/, by the name of the case.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

# The clusters have fixed names, and a run deletes what an earlier one left behind.
exec 9>"${TMPDIR:-/tmp}/everynode-e2e.lock"
flock --nonblock 9 || { echo "e2e: another run is in progress on this machine" >&2; exit 1; }

# A run that is interrupted or exceeds its time does not delete its clusters.
sweep() {
  local name
  if [[ -n ${EVERYNODE_E2E_KEEP:-} ]]; then return; fi
  for name in $(bin/kind get clusters --quiet | grep '^everynode-e2e-'); do
    bin/kind delete cluster --quiet --name "$name" --kubeconfig .e2e/swept
  done
}

bash hack/kind.sh
trap sweep EXIT
rm -rf .e2e
mkdir -p .e2e
EVERYNODE_E2E=$PWD/.e2e go test -count=1 -v -timeout 30m "$@" ./test/e2e 9>&-
