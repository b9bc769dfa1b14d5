#!/usr/bin/env bash
# Runs the DaemonSet cases of Kubernetes' own end-to-end suite against a cluster whose native DaemonSets Everynode serves.
#
#   hack/conformance.sh [lab|kind|KUBECONFIG]
#
#     lab         a lab of simulated nodes (the default)
#     kind        a kind cluster, created and deleted; needs a Docker engine. KIND_NODE_IMAGE is the node image, by default
#                 kind's; it should be of the suite's minor version
#     KUBECONFIG  an existing cluster with Everynode
#
# CONTROLLER=builtin tests kube-controller-manager's own controller instead, which verifies this harness.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

cluster=${1:-lab}
controller=${CONTROLLER:-everynode}
work=.conformance

log() { echo "conformance: $*" >&2; }
die() { log "$*"; exit 1; }

# prepare builds the suite and its runner; $suite is its folder.
prepare() {
  suite=$(bash hack/build-conformance.sh "$@")
  go build -o bin/conformance ./test/conformance
}

# try ARGUMENT...: runs the cases.
try() { bin/conformance --suite="$suite/suite" --controller="$controller" --dir="$work" "$@"; }

# A cluster in which Everynode, or the built-in controller, serves native DaemonSets.
on_kind() {
  local shape=takeover
  if [[ $controller == builtin ]]; then shape=builtin; fi
  bash hack/kind.sh
  prepare image
  go build -o bin/cluster ./test/kind/cmd/cluster
  bin/cluster --name=conformance --shape="$shape" --dir="$work" \
    --load="$suite/agnhost.tar" -- \
    bin/conformance --suite="$suite/suite" --controller="$controller" --dir="$work" --kubeconfig="$work/kubeconfig"
}

case $controller in everynode | builtin) ;; *) die "CONTROLLER=$controller: use everynode or builtin" ;; esac
case $cluster in
  lab)
    prepare
    try
    ;;
  kind) on_kind ;;
  *)
    [[ -f $cluster ]] || die "CLUSTER=$cluster: use lab, kind, or the path of a kubeconfig"
    prepare
    try --kubeconfig="$cluster"
    ;;
esac
