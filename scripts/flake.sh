#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a stage of the checks repeatedly, to find flaky tests: every second run with two busy loops
# for each CPU, each run with its own seed for the order of the tests.
#
#   scripts/flake.sh 10                    the integration stage
#   scripts/flake.sh 20 unit               another stage of scripts/test.sh
#
# The stage's dependencies must be built: scripts/test.sh setup build programs. A table is printed
# at the end; the output of each run and the logs of its failed tests are in .build/flake.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs="${1:-}"
stage="${2:-integration}"
if [[ ! $runs =~ ^[1-9][0-9]*$ || $# -gt 2 ]]; then
    echo "usage: scripts/flake.sh RUNS [STAGE]" >&2
    exit 2
fi

logs=.build/flake
mkdir -p "$logs"
loops=()
# shellcheck disable=SC2317 # called by the trap
stop_loops() {
    [[ ${#loops[@]} -eq 0 ]] || kill "${loops[@]}" 2>/dev/null || true
    loops=()
}
trap stop_loops EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_loops() {
    local each
    for ((each = 0; each < 2 * $(nproc); each++)); do
        sh -c 'while :; do :; done' &
        loops+=($!)
    done
}

printf '%3s  %-10s %10s %8s  %s\n' run machine seed seconds result | tee "$logs/$stage.table"
failures=0
for ((run = 1; run <= runs; run++)); do
    machine=idle
    if ((run % 2 == 0)); then
        machine=busy
        start_loops
    fi
    seed=$((RANDOM * 32768 + RANDOM))
    started=$SECONDS
    result=passed
    log="$logs/$stage-$run.log"
    rm -rf "$log" "$logs/$stage-$run.failed"
    OUTRIDER_TEST_SEED=$seed scripts/test.sh "$stage" >"$log" 2>&1 </dev/null || result=FAILED
    stop_loops
    if [[ $result == FAILED ]]; then
        failures=$((failures + 1))
        [[ ! -d .build/test-logs/failed ]] || cp -R .build/test-logs/failed "$logs/$stage-$run.failed"
        sed -n '/^-- failed in the stage/,$p' "$log"
    fi
    printf '%3d  %-10s %10d %8d  %s\n' "$run" "$machine" "$seed" $((SECONDS - started)) "$result" |
        tee -a "$logs/$stage.table"
done
echo "$((runs - failures)) of $runs runs of the stage $stage passed on $(nproc) CPUs. The table is in $logs/$stage.table."
[[ $failures -eq 0 ]]
