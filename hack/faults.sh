#!/usr/bin/env bash
# Runs every fault of test/faults RUNS times, those that take more than two minutes SLOW_RUNS times, and continues after an
# interruption: finished runs are in .faults/ledger.jsonl. Every fault gets its next run before any gets another. JOBS processes,
# each with its own labs, share the runs: each run is done by the first that claims it.
#
#   RUNS=300 SLOW_RUNS=30 JOBS=3 RUN=TestF0 hack/faults.sh
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${RUNS:-50} slow=${SLOW_RUNS:-5} run=${RUN:-^TestF} jobs=${JOBS:-1}
mkdir -p .faults
export EVERYNODE_FAULT_LEDGER=$PWD/.faults/ledger.jsonl EVERYNODE_FAULT_CLAIMS EVERYNODE_FAULT_COMMIT
EVERYNODE_FAULT_COMMIT=$(git describe --always --dirty)
EVERYNODE_FAULT_CLAIMS=$(mktemp -d)
trap 'rm -rf "$EVERYNODE_FAULT_CLAIMS"' EXIT
go test -c -o .faults/faults.test ./test/faults

# A run that fails does not end the series; the job's result is that of all its rounds.
job() {
  local upto failed=0
  cd test/faults
  for ((upto = 1; upto <= runs; upto++)); do
    export EVERYNODE_FAULT_RUNS=$upto EVERYNODE_FAULT_SLOW_RUNS=$(((slow * upto + runs - 1) / runs))
    ../../.faults/faults.test -test.run "$run" -test.timeout 0 -test.v=true | grep --line-buffered -v '^=== ' || failed=1
  done
  return $failed
}

set -o monitor # each job is a process group, so that an interrupt can end it
pids=()
trap 'kill -- "${pids[@]/#/-}" 2>/dev/null; exit 130' INT TERM
for ((n = 1; n <= jobs; n++)); do
  job >".faults/job-$n.log" 2>&1 &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
grep -hE '^ *--- FAIL' .faults/job-*.log || true
go run ./test/faults/cmd/figures "$EVERYNODE_FAULT_LEDGER"
exit $failed
