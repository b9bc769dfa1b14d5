#!/usr/bin/env bash
# Builds every program for every platform of .ko.yaml, pushes the images with their SBOMs, and writes to bin/release/ the list
# of pushed images, and the chart and the manifests that use them.
#
#   KO_DOCKER_REPO=registry.example.com/everynode hack/release.sh VERSION LDFLAGS PROGRAM...
#
# Log in to the registry first (docker login, or ko login). KO_DEFAULTBASEIMAGE replaces the base in .ko.yaml, RELEASE_GO is the Go that compiles
# the programs.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/image-labels.sh

die() { echo "release: $*" >&2; exit 1; }

(($# > 2)) || { echo "usage: hack/release.sh VERSION LDFLAGS PROGRAM..." >&2; exit 2; }
version=$1 ldflags=$2
shift 2
[[ -n ${KO_DOCKER_REPO:-} ]] || die "set KO_DOCKER_REPO to where the images go, as in KO_DOCKER_REPO=registry.example.com/everynode make release"
[[ $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || die "RELEASE=$version is no image tag: tag the commit, or give RELEASE=v1.2.3"
if [[ -n $(git status --porcelain) && ${RELEASE_DIRTY:-} != yes ]]; then
  die "there are uncommitted changes, so $version could not be rebuilt: commit them, or set RELEASE_DIRTY=yes"
fi

out=bin/release
rm -rf "$out"
mkdir -p "$out/sbom"
bash hack/release-chart.sh "$version" "$KO_DOCKER_REPO" "$out"
export CGO_ENABLED=0 GOFLAGS=-trimpath
go build -modfile=tools/ko/go.mod -o bin/ko github.com/google/ko
for program in "$@"; do
  labels=()
  while IFS= read -r label; do labels+=(--image-label "$label"); done < <(image_labels "$program" "$version")
  GOTOOLCHAIN=${RELEASE_GO:-$(go env GOTOOLCHAIN)} bin/ko build "./cmd/$program" --base-import-paths --tags "$version" --ldflags "$ldflags" --image-user 65532:65532 \
    --sbom spdx --sbom-dir "$out/sbom" "${labels[@]}" >>"$out/images"
done
echo "release: pushed, with SBOMs in $out/sbom:" >&2
cat "$out/images"
echo "release: the chart and its rendered manifests for these images: $(cd "$out" && echo *.tgz *.yaml), in $out" >&2
