#!/usr/bin/env bash
# Writes the generated files: the deep copies of api/ and the CRD in deploy/crd.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go tool -modfile=tools/go.mod controller-gen object paths=./api/...
go tool -modfile=tools/go.mod controller-gen \
  crd:maxDescLen=0,generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir=deploy/crd
crd=$PWD/deploy/crd/everynode.dev_daemonsets.yaml
(cd tools && go run ./crd "$crd")
