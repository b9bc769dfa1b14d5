#!/usr/bin/env bash
# Packs the programs of bin/ into images from scratch, as archives under bin/image/, and loads them into the Docker
# engine when one answers. It needs no registry, and the archives need no engine.
#
#   hack/images.sh TAG VERSION PROGRAM...
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/image-labels.sh
export CGO_ENABLED=0 GOFLAGS=-trimpath

(($# > 2)) || { echo "usage: hack/images.sh TAG VERSION PROGRAM..." >&2; exit 2; }
tag=$1 version=$2
shift 2

go build -C tools/images -o ../../bin/images .
mkdir -p bin/image
archives=()
for program in "$@"; do
  name=everynode/$program:$tag archive=bin/image/$program.tar
  labels=()
  while IFS= read -r label; do labels+=(-label "$label"); done < <(image_labels "$program" "$version")
  bin/images "${labels[@]}" "bin/$program" "$name" "$archive"
  echo "$archive: $name, $(du -h --apparent-size "$archive" | cut -f 1)"
  archives+=("$archive")
done

if docker info >/dev/null 2>&1; then
  for archive in "${archives[@]}"; do docker load --input "$archive"; done
else
  echo "No Docker engine answers, so only the archives were written: docker load, ctr images import and kind load image-archive accept them."
fi
