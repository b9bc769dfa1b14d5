#!/usr/bin/env bash
# Builds the Kubernetes components of the lab from the module graph of tools/go.mod
# into bin/lab-<versions>/, and prints that folder. Existing programs are not built again.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

modfile=tools/go.mod
version_of() { awk -v m="$1" '$1 == m && $2 ~ /^v/ { print $2; exit }' "$modfile"; }
kubernetes=$(version_of k8s.io/kubernetes)
etcd=$(version_of go.etcd.io/etcd/server/v3)
kwok=$(version_of sigs.k8s.io/kwok)
for version in "$kubernetes" "$etcd" "$kwok"; do
  [[ $version == v* ]] || { echo "build-lab: $modfile has no version of a component" >&2; exit 1; }
done
minor=${kubernetes#v1.} minor=${minor%%.*}

out=bin/lab-$kubernetes-etcd-$etcd-kwok-$kwok
mkdir -p "$out"
stamp="-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"

# build NAME PACKAGE: written under another name first, so that an interrupted build
# leaves no incomplete program.
build() {
  [[ -x $out/$1 ]] && return
  echo "build-lab: $1 (the first build of all takes about ten minutes on two cores)" >&2
  CGO_ENABLED=0 go build -modfile="$modfile" -trimpath -ldflags "$stamp" -o "$out/.$1.partial" "$2"
  mv "$out/.$1.partial" "$out/$1"
}

build etcd go.etcd.io/etcd/server/v3
for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
  build "$name" "k8s.io/kubernetes/cmd/$name"
done
build kwok sigs.k8s.io/kwok/cmd/kwok
ln -sfn "$(basename "$out")/kubectl" bin/kubectl
echo "$out"
