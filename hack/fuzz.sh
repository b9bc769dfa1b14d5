#!/usr/bin/env bash
# Fuzzes every fuzz target of this module, one after the other. An input that fails is written to testdata/fuzz of the package: commit it
# with the fix.
#
#   hack/fuzz.sh 30s       # each for that time
#   hack/fuzz.sh --list    # prints package and target, one per line
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# targets are found in the source, so that none can be forgotten; folders with a go.mod of their own are other modules.
targets() {
  local file name
  grep --recursive --include='*_test.go' --extended-regexp --no-messages '^func Fuzz[A-Z]\w*\(' --only-matching . |
    while IFS=: read -r file name; do
      [[ $file == ./tools/* ]] && continue
      name=${name#func }
      echo "${file%/*} ${name%(}"
    done | sort
}

(($# == 1)) || { echo "usage: hack/fuzz.sh TIME|--list" >&2; exit 2; }
if [[ $1 == --list ]]; then targets; exit; fi
mapfile -t all < <(targets)
((${#all[@]} > 0)) || { echo "fuzz: no target found" >&2; exit 1; }
for target in "${all[@]}"; do
  read -r package name <<<"$target"
  echo "=== $name of $package"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "$package"
done
echo "fuzz: ${#all[@]} targets, $1 each: no failure"
