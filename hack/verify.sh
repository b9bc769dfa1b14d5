#!/usr/bin/env bash
# Fails when a generated file is not what hack/generate.sh would write now.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/before/api" "$work/before/crd"
cp api/v1alpha1/zz_generated.*.go "$work/before/api/"
cp deploy/crd/*.yaml "$work/before/crd/"
bash hack/generate.sh
mkdir -p "$work/after/api" "$work/after/crd"
cp api/v1alpha1/zz_generated.*.go "$work/after/api/"
cp deploy/crd/*.yaml "$work/after/crd/"
if ! diff -r "$work/before" "$work/after" >&2; then
  echo "generated files were not fresh; make generate has written them anew: commit them" >&2
  exit 1
fi
echo "generated files are fresh"
