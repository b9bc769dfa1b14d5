#!/usr/bin/env bash
# Runs the core suite on labs whose kube-apiserver, kube-controller-manager and kube-scheduler are of other Kubernetes
# releases, which are built first (minutes each, kept under bin/). All releases are tested; failures fail the run at the end.
#
#   hack/test-compat.sh v1.36.3 v1.35.4
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

(($# > 0)) || { echo "usage: hack/test-compat.sh v1.36.3..." >&2; exit 2; }
# Packages that depend on an API server. The rest is pure, or has its own: internal/, webhook/, test/bench, test/conformance.
packages=(./test/lab ./test/version ./test/placement ./test/lifecycle ./test/hostile ./test/scheduling ./test/takeover ./test/corpus ./test/certs ./test/policy)

failed=()
for release in "$@"; do
  bash hack/build-kubernetes.sh "$release" >/dev/null
  start=$SECONDS
  echo "=== Kubernetes $release"
  EVERYNODE_LAB_KUBERNETES=$release go test -count=1 -timeout 30m "${packages[@]}" || failed+=("$release")
  echo "=== Kubernetes $release: $((SECONDS - start)) s"
done
if ((${#failed[@]} > 0)); then
  echo "test-compat: failed on ${failed[*]}" >&2
  exit 1
fi
