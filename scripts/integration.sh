#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the integration tests, each kind with as many others at a time as it bears:
#
#   compute   uses the CPU: one more than there are CPUs, as some wait for a while
#   wait      waits for deadlines and other programs: eight at a time, beside the compute tests
#   measure   judges times, CPU or memory, or loads the whole machine: alone
#
#   scripts/integration.sh                    all kinds
#   scripts/integration.sh compute            one kind
#   scripts/integration.sh measure -k chat    one kind, or all, with arguments for pytest
#
# The order is random; OUTRIDER_TEST_SEED sets it, and the random inputs. The tests expect what
# `scripts/test.sh build programs` builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What Python and pytest compile is kept there, not beside the tests. All workers read the same.
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
    # 5: there is no test of this kind, or none that the arguments choose.
    [[ $status -eq 0 || $status -eq 5 ]]
}

if [[ $kind != all ]]; then
    run_kind "$kind" "$@"
    exit
fi

# Both run at the same time; the output of the wait tests is printed after that of the compute tests.
output="$(mktemp)"
trap 'rm -f "$output"' EXIT
run_kind wait "$@" >"$output" 2>&1 &
status=0
run_kind compute "$@" || status=1
wait $! || status=1
cat "$output"
run_kind measure "$@" || status=1
exit "$status"
