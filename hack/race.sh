#!/usr/bin/env bash
# Runs tests with Go's race detector, and programs of ours in the labs that are built with it (bin/race). The first run compiles
# Kubernetes' packages again: minutes.
#
#   hack/race.sh ./...                    # everything
#   hack/race.sh --unit ./controller/...  # packages whose tests start no lab: the programs are not built
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=1 GOFLAGS=-trimpath
# A program exits at its first race, which fails the lab's test.
export GORACE=halt_on_error=1

programs=(everynode-controller everynode-webhook everynode-scheduler)
unit=''
if [[ ${1:-} == --unit ]]; then unit=yes; shift; fi
(($# > 0)) || { echo "usage: hack/race.sh [--unit] PACKAGE..." >&2; exit 2; }

compiler=$(go env CC)
if ! command -v "${compiler%% *}" >/dev/null; then
  echo "race: the race detector needs a C compiler, and $compiler is not installed: install one (Debian: apt-get install gcc libc6-dev), or set CC" >&2
  exit 1
fi
if [[ -z $unit ]]; then
  go build -race -ldflags "${LDFLAGS:-}" -o bin/race/ "${programs[@]/#/./cmd/}"
  export EVERYNODE_PROGRAMS=$PWD/bin/race
fi
go test -race -timeout 90m "$@"
