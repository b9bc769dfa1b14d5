#!/usr/bin/env bash
# Moves all Kubernetes versions together: k8s.io/kubernetes and the replaced staging modules,
# in go.mod and tools/go.mod. A plain "go get k8s.io/api@…" would instead downgrade
# k8s.io/kubernetes to a version without staging modules.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/kubernetes-modules.sh

[[ ${1:-} =~ ^v?1\.([0-9]+\.[0-9]+)$ ]] || { echo "usage: make update-k8s VERSION=1.37.3" >&2; exit 2; }
staging=v0.${BASH_REMATCH[1]}
kubernetes=v1.${BASH_REMATCH[1]}
modules=$(kubernetes_modules "$kubernetes")

for folder in . tools; do
  edits=(-require="k8s.io/kubernetes@$kubernetes")
  while read -r old; do edits+=(-dropreplace="$old"); done \
    < <(awk '/^replace \(/ { on = 1; next } /^\)/ { on = 0 } on && $1 ~ /^k8s\.io\// { print $1 }' "$folder/go.mod")
  for module in $modules; do edits+=(-replace="$module=$module@$staging"); done
  (cd "$folder" && go mod edit "${edits[@]}" && go mod tidy)
done
bash hack/verify-modules.sh
