#!/usr/bin/env bash
# Runs the DaemonSet cases of Kubernetes' own end-to-end suite against a cluster whose native DaemonSets Everynode serves.
#
#   hack/conformance.sh [lab|kind|KUBECONFIG]
#
#     lab         a lab of simulated nodes (the default)
#     kind        a kind cluster, made and deleted; needs a Docker engine and kind, in PATH or $KINDLAB_CACHE/bin.
#                 KIND_NODE_IMAGE names the node image
#     KUBECONFIG  a cluster that is there and set up
#
# CONTROLLER=builtin puts kube-controller-manager's own controller on trial instead, which proves this harness.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

cluster=${1:-lab}
controller=${CONTROLLER:-everynode}
name=everynode-conformance
work=.conformance
# What a kubelet in a container sets for the whole machine.
sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops)

log() { echo "conformance: $*" >&2; }
die() { log "$*"; exit 1; }

# try ARGUMENT...: runs the cases.
try() {
  local suite
  suite=$(bash hack/build-conformance.sh)
  go build -o bin/conformance ./test/conformance
  bin/conformance --suite="$suite/suite" --controller="$controller" --dir="$work" "$@"
}

# kube ARGUMENT...: kubectl on the kind cluster.
kube() { bin/kubectl --kubeconfig="$work/kubeconfig" "$@"; }

load() { kind load image-archive --name "$name" "$@"; }

need_kind() {
  docker info >/dev/null 2>&1 || die "CLUSTER=kind needs a Docker engine, and none answers to: docker info"
  command -v kind >/dev/null || die "CLUSTER=kind needs kind, in PATH or in KINDLAB_CACHE/bin"
  docker image inspect "$image" >/dev/null 2>&1 || die "there is no node image $image: build or pull one, or name another by KIND_NODE_IMAGE"
}

create_cluster() {
  local config
  config=$(<test/conformance/kind/cluster.yaml)
  if [[ $controller == builtin ]]; then config=${config/,-daemonset-controller/}; fi
  mkdir -p "$work"
  mapfile -t sysctls_before < <(sysctl "${sysctls[@]}" 2>/dev/null | tr -d ' ')
  trap delete_cluster EXIT
  kind create cluster --quiet --name "$name" --image "$image" --kubeconfig "$work/kubeconfig" --wait 0s --config - <<<"$config"
}

delete_cluster() {
  local status=$?
  if [[ $status != 0 ]]; then
    kube get nodes,daemonsets,pods -A -o wide >&2 || true
    kind export logs --name "$name" "$work/kind" >/dev/null 2>&1 || true
    log "the cluster's logs are in $work/kind"
  fi
  kind delete cluster --quiet --name "$name"
  sysctl -q -w "${sysctls_before[@]}" 2>/dev/null || log "the machine keeps what kubelets set: ${sysctls[*]}; before: ${sysctls_before[*]}"
}

# Everynode comes before there is any network, and works before its webhook can: the values bootstrap. Certificates are
# files, so that nobody has to wait for one.
install_everynode() {
  local archive cert=$work/webhook.crt key=$work/webhook.key service=everynode-webhook.everynode-system.svc
  for archive in bin/image/*.tar; do load "$archive"; done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -keyout "$key" -out "$cert" \
    -subj "/CN=$service" -addext "subjectAltName=DNS:$service" 2>/dev/null
  kube create namespace everynode-system >/dev/null
  kube -n everynode-system create secret tls everynode-webhook --cert="$cert" --key="$key" >/dev/null
  go tool -modfile=tools/helm/go.mod helm install everynode deploy/chart/everynode \
    --kubeconfig "$work/kubeconfig" --namespace everynode-system \
    --set workloads=apps,bootstrap.enabled=true,images.tag=dev,images.pullPolicy=Never \
    --set certificates.source=files,certificates.secretName=everynode-webhook --set-file certificates.caBundle="$cert" >/dev/null
}

# await_cluster: the network works, whose daemons had nobody else to place them; and admission takes over.
await_cluster() {
  kube wait --for=condition=Ready nodes --all --timeout=180s
  kube -n kube-system rollout status deployment/coredns --timeout=180s
  if [[ $controller == builtin ]]; then return; fi
  kube -n everynode-system wait --for=condition=Available deployments --all --timeout=180s
  kube -n kube-system wait --for=condition=PlacementAdmission daemonsets --all --timeout=180s
}

on_kind() {
  local image version archives
  PATH=${KINDLAB_CACHE:-/var/cache/kindlab}/bin:$PATH
  version=$(bin/kubectl version --client | sed -n 's/^Client Version: //p')
  image=${KIND_NODE_IMAGE:-kindest/node:$version-local}
  need_kind
  archives=$(bash hack/build-conformance.sh image)
  if [[ $controller == everynode ]]; then make --no-print-directory images; fi
  create_cluster
  if [[ $controller == everynode ]]; then install_everynode; fi
  await_cluster
  load "$archives/agnhost.tar"
  try --kubeconfig="$work/kubeconfig"
}

case $controller in everynode | builtin) ;; *) die "CONTROLLER=$controller: use everynode or builtin" ;; esac
case $cluster in
  lab) try ;;
  kind) on_kind ;;
  *)
    [[ -f $cluster ]] || die "CLUSTER=$cluster: use lab, kind, or the path of a kubeconfig"
    try --kubeconfig="$cluster"
    ;;
esac
