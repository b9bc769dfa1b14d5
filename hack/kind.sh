#!/usr/bin/env bash
# Builds the requirements of a kind cluster with Everynode: bin/kind, bin/helm, Everynode's images, and those of examples and
# tests. It fails with a message when no Docker engine answers.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

bash hack/engine.sh
make --no-print-directory images
go build -modfile=tools/kind/go.mod -o bin/kind sigs.k8s.io/kind
go build -modfile=tools/helm/go.mod -o bin/helm helm.sh/helm/v4/cmd/helm
go build -ldflags '-s -w' -o bin/example-server ./examples/server
go build -ldflags '-s -w' -o bin/cert-manager ./test/e2e/certmanager
for program in example-server cert-manager; do
  bin/images "bin/$program" "everynode/$program:dev" "bin/image/$program.tar"
done
# The same programs under another tag: a release to upgrade to.
for program in controller webhook scheduler; do
  bin/images "bin/everynode-$program" "everynode/everynode-$program:next" "bin/image/next-$program.tar"
done
