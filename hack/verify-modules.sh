#!/usr/bin/env bash
# Fails when go.mod or tools/go.mod is not tidy, when they require different versions of
# Kubernetes, or when a replace block omits a staging module or has one of another version.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/kubernetes-modules.sh

version_of() { awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' "$1"; }
kubernetes=$(version_of go.mod)
if [[ $kubernetes != "$(version_of tools/go.mod)" ]]; then
  echo "go.mod requires Kubernetes $kubernetes, tools/go.mod $(version_of tools/go.mod): run make update-k8s VERSION=${kubernetes#v}" >&2
  exit 1
fi
want=$(kubernetes_modules "$kubernetes" | sed "s/.*/& => & v0.${kubernetes#v1.}/" | sort)
for folder in . tools; do
  have=$(awk '/^replace \(/ { on = 1; next } /^\)/ { on = 0 } on { print $1, $2, $3, $4 }' "$folder/go.mod" | grep '^k8s.io/' | sort)
  if ! diff <(echo "$want") <(echo "$have") >&2; then
    echo "the replace block of $folder/go.mod does not match Kubernetes $kubernetes: run make update-k8s VERSION=${kubernetes#v}" >&2
    exit 1
  fi
done
for folder in . tools tools/helm tools/images tools/kind tools/ko tools/kubeconform tools/licenses tools/monitoring tools/vuln; do
  (cd "$folder" && go mod tidy -diff >/dev/null) || { echo "$folder/go.mod is not tidy: run go mod tidy in $folder" >&2; exit 1; }
done
echo "module files agree on Kubernetes $kubernetes"
