#!/usr/bin/env bash
# Runs every fault of test/faults RUNS times, those that take more than two minutes SLOW_RUNS times, and continues after an
# interruption: finished runs are in .faults/ledger.jsonl. Every fault gets its first runs before any gets its last.
#
#   RUNS=300 SLOW_RUNS=30 RUN=TestF0 hack/faults.sh
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${RUNS:-50} slow=${SLOW_RUNS:-5} run=${RUN:-^TestF} round=10
mkdir -p .faults
export EVERYNODE_FAULT_LEDGER=$PWD/.faults/ledger.jsonl

for ((upto = round < runs ? round : runs; ; upto = upto + round < runs ? upto + round : runs)); do
  export EVERYNODE_FAULT_RUNS=$upto EVERYNODE_FAULT_SLOW_RUNS=$(((slow * upto + runs - 1) / runs))
  go test -count=1 -timeout 0 -run "$run" ./test/faults
  ((upto < runs)) || break
done
go run ./test/faults/cmd/figures "$EVERYNODE_FAULT_LEDGER"
