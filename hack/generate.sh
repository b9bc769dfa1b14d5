#!/usr/bin/env bash
# Writes the generated files: the deep copies of api/, the CRD in the chart, the manifests that the chart renders to, and docs/reference
# with the licenses of dependencies.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go tool -modfile=tools/go.mod controller-gen object paths=./api/...
go tool -modfile=tools/go.mod controller-gen \
  crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir=deploy/chart/everynode/crds
crd=$PWD/deploy/chart/everynode/crds/everynode.dev_daemonsets.yaml
(cd tools && go run ./crd "$crd")
bash hack/render.sh
go test ./cmd/... ./test/docs -run "^TestReference" -update >/dev/null
programs=(./cmd/everynode-controller ./cmd/everynode-webhook ./cmd/everynode-scheduler)
licenses=$(go -C tools/licenses run . -C ../.. "${programs[@]}")
echo "$licenses" >docs/reference/licenses.md
