#!/usr/bin/env bash
# Builds the control plane of another Kubernetes release, for a lab to run on (EVERYNODE_LAB_KUBERNETES), into
# bin/kubernetes-<version>/, and prints that folder. Existing programs are not built again.
#
#   hack/build-kubernetes.sh v1.36.3
#
# k8s.io/kubernetes takes its libraries from folders beside it, which its module does not contain, so it cannot be
# installed. The module that is created here requires the published ones: v0.X.Y for v1.X.Y.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/kubernetes-modules.sh
export CGO_ENABLED=0 GOFLAGS=-trimpath

[[ ${1:-} =~ ^v1\.([0-9]+)\.[0-9]+$ ]] || { echo "usage: hack/build-kubernetes.sh v1.36.3" >&2; exit 2; }
version=$1 minor=${BASH_REMATCH[1]}
out=$PWD/bin/kubernetes-$version
programs=(kube-apiserver kube-controller-manager kube-scheduler)
stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"

missing() { [[ ! -x $out/$1 ]]; }

make_module() {
  local libraries library
  libraries=$(kubernetes_modules "$version")
  {
    printf 'module kubernetes\n\ngo %s\n\nrequire k8s.io/kubernetes %s\n' "$(go env GOVERSION | sed 's/^go//')" "$version"
    kubernetes_godebug "$version"
    for library in $libraries; do echo "replace $library => $library v0.${version#v1.}"; done
  } >"$1/go.mod"
}

# build NAME: written under another name first, so that an interrupted build leaves no incomplete program.
build() {
  echo "build-kubernetes: $1 $version (the first build of a release takes minutes)" >&2
  (cd "$module" && go build -mod=mod -ldflags "$stamp" -o "$out/.$1.partial" "k8s.io/kubernetes/cmd/$1")
  mv "$out/.$1.partial" "$out/$1"
}

mkdir -p "$out"
module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
for name in "${programs[@]}"; do
  missing "$name" || continue
  [[ -s $module/go.mod ]] || make_module "$module"
  build "$name"
done
echo "$out"
