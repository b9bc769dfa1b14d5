#!/usr/bin/env bash
# Runs govulncheck (tools/vuln) with the vulnerability database of a version of the module golang.org/x/vulndb. RELEASE_GO is the Go
# that the programs are released with, whose standard library they contain.
#
#   hack/vulncheck.sh VERSION PACKAGE...
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

(($# > 1)) || { echo "usage: hack/vulncheck.sh VERSION PACKAGE..." >&2; exit 2; }
version=$1
shift
module=$(go mod download -json "golang.org/x/vulndb@$version") ||
  { echo "vulncheck: golang.org/x/vulndb@$version cannot be downloaded: $module" >&2; exit 1; }
folder=$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$module")
go build -C tools/vuln -o ../../bin/vuln .
export GOTOOLCHAIN=${RELEASE_GO:-$(go env GOTOOLCHAIN)}
echo "vulncheck: database $(sed -n 's/^\t"Version": "\(.*\)",\{0,1\}$/\1/p' <<<"$module"), $(go env GOVERSION)"
bin/vuln -vulndb "$folder" -exceptions tools/vuln/exceptions.txt "$@"
