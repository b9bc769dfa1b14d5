#!/usr/bin/env bash
# Builds Everynode's programs of an earlier commit, with its manifests, into
# bin/former-<commit>/, and prints that folder. Existing programs are not built again.
#
#   hack/build-former.sh 9652073
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

(($# == 1)) || { echo "usage: hack/build-former.sh COMMIT" >&2; exit 2; }
commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
  echo "build-former: commit $1 is not in this clone: fetch the history first (git fetch --unshallow), or set FORMER to another commit" >&2
  exit 1
}
programs=(everynode-controller everynode-webhook everynode-scheduler)
out=$PWD/bin/former-${commit:0:12}

complete() {
  local name
  for name in "${programs[@]}"; do [[ -x $out/$name ]] || return 1; done
  [[ -s $out/deploy/install-selfmanaged.yaml ]]
}

if ! complete; then
  source=$(mktemp -d)
  trap 'rm -rf "$source"' EXIT
  git archive "$commit" | tar -x -C "$source"
  mkdir -p "$out"
  for name in "${programs[@]}"; do
    echo "build-former: $name of $1" >&2
    # Written under another name first, so that an interrupted build leaves no incomplete program.
    (cd "$source" && go build -ldflags '-s -w' -o "$out/.$name.partial" "./cmd/$name")
    mv "$out/.$name.partial" "$out/$name"
  done
  rm -rf "$out/deploy"
  cp -r "$source/deploy" "$out/deploy"
fi
echo "$out"
