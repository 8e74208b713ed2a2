#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the integration tests, with as many tests of each kind at a time as it tolerates:
#
#   compute   uses the CPU: one more than there are CPUs, as some wait for a while
#   wait      waits for deadlines and other programs: eight at a time, in parallel with the compute tests
#   measure   judges times, CPU or memory, or loads the whole machine: alone
#
#   scripts/integration.sh                    all kinds
#   scripts/integration.sh compute            one kind
#   scripts/integration.sh measure -k chat    one kind, or all, with arguments for pytest
#
# The order is random; OUTRIDER_TEST_SEED sets it, and the random inputs. The tests need the
# products of `scripts/test.sh build programs`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Compiled Python files go to .build, not beside the tests. All workers share them.
export PYTHONPYCACHEPREFIX=.build/pycache
export HYPOTHESIS_STORAGE_DIRECTORY=.build/hypothesis
export OUTRIDER_TEST_SEED="${OUTRIDER_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}"

declare -A workers=([compute]=$(($(nproc) + 1)) [wait]=8 [measure]=0)
kind="${1:-all}"
shift || true
if [[ $kind != all && -z ${workers[$kind]:-} ]]; then
    echo "usage: scripts/integration.sh [all | compute | wait | measure [argument of pytest ...]]" >&2
    exit 2
fi

run_kind() {
    local kind=$1 status=0
    shift
    printf '\n-- %s tests, seed %s\n' "$kind" "$OUTRIDER_TEST_SEED"
    .build/python/bin/python -m pytest Tests/Integration -q -p no:cacheprovider -rfE --durations=8 \
        --randomly-seed="$OUTRIDER_TEST_SEED" -m "$kind" -n "${workers[$kind]}" --dist loadgroup --no-loadscope-reorder "$@" || status=$?
    # 5: no test of this kind exists, or none is selected by the arguments.
    [[ $status -eq 0 || $status -eq 5 ]]
}

if [[ $kind != all ]]; then
    run_kind "$kind" "$@"
    exit
fi

# Both run at the same time; the output of the wait tests is printed after that of the compute
# tests.
output="$(mktemp)"
trap 'rm -f "$output"' EXIT
run_kind wait "$@" >"$output" 2>&1 &
status=0
run_kind compute "$@" || status=1
wait $! || status=1
cat "$output"
run_kind measure "$@" || status=1
exit "$status"
