#!/usr/bin/env bash
# Fails when a generated file differs from the output of hack/generate.sh.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# keep FOLDER: a copy of every generated file.
keep() {
  mkdir -p "$1"
  cp --parents api/v1alpha1/zz_generated.*.go deploy/chart/everynode/crds/*.yaml deploy/*.yaml deploy/variants/*.yaml docs/reference/*.md "$1"
}

keep "$work/before"
bash hack/generate.sh
keep "$work/after"
if ! diff -r "$work/before" "$work/after" >&2; then
  echo "generated files were out of date; make generate has updated them: commit them" >&2
  exit 1
fi
echo "generated files are up to date"
