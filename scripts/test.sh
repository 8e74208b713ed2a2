#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the checks in order. All of them run even if one fails, except those that depend on it. With
# names, runs only those stages:
#
#   scripts/test.sh build unit
#   FILTER=Histogram scripts/test.sh build unit          only the Swift tests whose names match
#   OUTRIDER_TEST_SEED=17 scripts/test.sh integration    in the order of an earlier run
#
# The output of each stage is in .build/test-logs, the logs of the servers of a failed test in
# .build/test-logs/failed. Failures are listed at the end, with the command that repeats them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

stages=(libraries build setup lint layers consumer api unit unit-hooked thread-sanitizer sanitize fuzz programs bench-check
    instructions heap-cost integration)
if [[ $# -gt 0 ]]; then
    stages=("$@")
fi

# The stages that a stage depends on. All but the first two also need the packages that `setup`
# installs.
declare -A needs=(
    [build]=libraries [api]=build [unit]=build [unit-hooked]=build [bench-check]=programs [instructions]=programs
    [integration]="build programs" [integration-compute]="build programs"
)

logs=.build/test-logs
mkdir -p "$logs"
rm -rf "${logs:?}"/*
# One seed for the order of the integration tests, and for their random inputs. Only those have it
# in their environment: scripts/lib.sh explains why.
seed="${OUTRIDER_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}"
unset OUTRIDER_TEST_SEED

table=()
closing_lines=()
declare -A failed=()

# stage_<name> runs a stage. verify_<name>, if defined, then checks its output for failures that the
# exit status does not show, and prints the problem.

# SwiftPM fetches packages while apt does. If that fails, the build tries again, and reports the
# reason.
fetch_packages() {
    swift_package --scratch-path .build/all-traits --enable-all-traits resolve
    swift_package --package-path Tests/Programs --scratch-path .build/programs resolve
}

# Installs the requirements of the build only.
stage_libraries() {
    fetch_packages >"$logs/fetch.log" 2>&1 &
    scripts/setup.sh bench
    wait
}

# The process that installs the requirements of the other stages during the build; empty if it was
# not started.
rest=
start_rest() {
    (
        status=0
        install_rest >"$logs/rest.log" 2>&1 </dev/null || status=$?
        echo "$status" >"$logs/rest.status"
    ) &
    rest=$!
}

install_rest() {
    scripts/setup.sh test
    scripts/newer-prometheus.sh
    scripts/newer-libraries.sh
}

stage_setup() {
    if [[ -z $rest ]]; then
        fetch_packages >"$logs/fetch.log" 2>&1 &
        install_rest
        wait
    else
        # `wait` does not work here: a stage runs in a subshell.
        tail --pid="$rest" -n +1 -f "$logs/rest.log"
        [[ $(<"$logs/rest.status") == 0 ]]
    fi
    swift --version 2>/dev/null | head -n 1
    prometheus --version 2>&1 | head -n 1
    .build/python/bin/python --version
}

stage_lint() {
    scripts/lint.sh
}

stage_layers() {
    python3 -B scripts/check_layers.py
    python3 -B scripts/check_manifests.py
}

stage_consumer() {
    scripts/check-consumer.sh
}

stage_build() {
    choose_all_traits
    swift_build "${all_traits[@]}" --build-tests
}

# A warning of our own manifest or sources is an error. Warnings of SwiftPM or of other packages are
# not.
verify_build() {
    local ours place="^$PWD/(Package.swift|Sources|Tests)[^:]*:[0-9]+:[0-9]+: warning: "
    ours="$(basename "$PWD" | tr '[:upper:]' '[:lower:]')"
    if ! grep -E "$place|^warning: '$ours': " "$1"; then
        return 0
    fi
    # The compiler does not repeat a warning for a file that it does not compile again. A new date
    # makes it compile the file in the next run too.
    { grep -E "$place" "$1" || true; } | cut -d : -f 1 | sort -u | while read -r file; do touch "$file"; done
    echo "The build has warnings, which count as errors."
    return 1
}

stage_api() {
    scripts/api.sh --check
}

# Runs the Swift tests of a build directly: `swift test` would plan the build again.
run_swift_tests() {
    local tree=$1
    shift
    NO_COLOR=1 "$tree/debug/outriderPackageTests.xctest" --testing-library swift-testing "$@"
}

stage_unit() {
    run_swift_tests .build/all-traits ${FILTER:+--filter "$FILTER"}
}

# Swift Testing passes if it finds no test at all.
verify_unit() {
    if ! grep -qE 'Test run with [1-9][0-9]* tests?' "$1"; then
        echo "No test ran."
        return 1
    fi
}

# Runs the test bundle again, with every allocation sampled by the preloaded hooks. Excludes one
# test that depends on the number of stacks that libc caches (the hooks' own thread has one), and
# those that call the same functions some 100,000 times, which took most of the time of this stage:
# YearTests, SeriesModelTests and FormatLimitTests.
stage_unit-hooked() {
    local hooks
    hooks="$(scripts/preload.sh | tail -n 1)"
    OUTRIDER_HEAP_INTERVAL=1 OUTRIDER_HEAP_PROFILE="$PWD/.build/unit-hooked.%p.pb.gz" LD_PRELOAD="$hooks" \
        run_swift_tests .build/all-traits --skip 'without memory for a thread' --skip 'YearTests|SeriesModelTests|FormatLimitTests'
}

verify_unit-hooked() {
    verify_unit "$1" || return 1
    # Without a profile, the hooks were not active in the test bundle.
    local profile=("$PWD"/.build/unit-hooked.*.pb.gz)
    if [[ ! -s ${profile[0]} ]]; then
        echo "The malloc hooks did not write a profile."
        return 1
    fi
    rm -f "${profile[@]}"
}

# This is also the build without any trait.
stage_thread-sanitizer() {
    local tree=.build/thread-sanitizer
    # For line numbers in reports.
    swift_build --sanitize thread --scratch-path "$tree" --build-tests "${quick_debug_build[@]}" \
        -Xswiftc -gline-tables-only -Xcc -gline-tables-only
    TSAN_OPTIONS="halt_on_error=0 exitcode=66" \
        run_swift_tests "$tree" --filter "Concurrency|OutriderEndpointTests"
}

verify_thread-sanitizer() {
    verify_build "$1" || return 1
    if grep -qE '(WARNING|FATAL|ERROR): ThreadSanitizer|ThreadSanitizer: reported' "$1"; then
        echo "The thread sanitizer reported a race or could not run."
        return 1
    fi
    verify_unit "$1"
}

stage_sanitize() {
    scripts/sanitize.sh
}

stage_fuzz() {
    scripts/fuzz.sh --check
}

stage_programs() {
    scripts/build-release.sh --all
}

stage_bench-check() {
    scripts/bench.sh --check
}

stage_instructions() {
    scripts/instructions.py
}

stage_heap-cost() {
    scripts/bench-heap.py --check
}

stage_integration() {
    OUTRIDER_TEST_SEED=$seed scripts/integration.sh
}

stage_integration-compute() {
    OUTRIDER_TEST_SEED=$seed scripts/integration.sh compute
}

# The summary lines of the test runners of a stage: Swift Testing's, or pytest's.
closing_lines_of() {
    local swift_testing='Test run with [0-9]+ tests?'
    local pytest='^(=+ )?([0-9]+ (passed|failed|error|skipped)|no tests ran).* in [0-9.]+s'
    grep -E "$swift_testing|$pytest" "$1"
}

load_average() {
    cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || echo '?'
}

# The busy time and the total time of all CPUs since boot, in ticks (proc_stat(5)).
cpu_ticks() {
    awk '/^cpu / {print $2 + $3 + $4 + $7 + $8 + $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9}' /proc/stat 2>/dev/null || echo 0 0
}

# The share of all CPUs that was busy since then, in percent.
cpu_share_since() {
    echo "$1 $(cpu_ticks)" | awk '{print ($4 > $2 ? int(100 * ($3 - $1) / ($4 - $2) + 0.5) "%" : "?")}'
}

# The first lines of the reason for each failed test of a stage, or else the end of its output.
reasons() {
    local reason='^(FAILED|ERROR) |recorded an issue|(WARNING|FATAL|ERROR): ThreadSanitizer|: error: '
    if ! grep -E "$reason" "$1" | sed -E 's/^((FAILED|ERROR) \S+)@\S+/\1/' | cut -c 1-240 | sort -u | head -n 30; then
        tail -n 12 "$1"
    fi
    if grep -qE '^(FAILED|ERROR) Tests/' "$1"; then
        echo "To run one test: .build/python/bin/python -m pytest -p no:cacheprovider --randomly-seed=$seed 'TEST'"
    fi
}

summary() {
    local status=$? stage
    echo
    printf '%-18s %8s %6s %5s  %s\n' stage seconds load CPU result
    printf '%s\n' ${table[@]+"${table[@]}"}
    echo
    printf '%s\n' ${closing_lines[@]+"${closing_lines[@]}"}
    echo
    if [[ $status -eq 0 ]]; then
        echo "All checks passed in $SECONDS s with seed $seed."
        exit 0
    fi
    for stage in "${stages[@]}"; do
        [[ ${failed[$stage]:-} == ran ]] || continue
        printf -- '-- failures in stage %s (full log: %s):\n' "$stage" "$logs/$stage.log"
        reasons "$logs/$stage.log"
        printf 'To repeat it: OUTRIDER_TEST_SEED=%s scripts/test.sh %s\n\n' "$seed" "$stage"
    done
    if [[ -d $logs/failed ]]; then
        echo "The logs of the servers of failed tests are in $logs/failed."
    fi
    echo "FAILED after $SECONDS s: ${!failed[*]}. Seed $seed, $(nproc) CPUs, load average $(cut -d ' ' -f 1-3 /proc/loadavg)."
    exit "$status"
}
trap summary EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Whether a stage that this one depends on has failed.
is_blocked() {
    local needed
    for needed in libraries setup ${needs[$1]:-}; do
        [[ $needed == "$1" || -z ${failed[$needed]:-} ]] || return 0
    done
    return 1
}

run_stage() {
    local stage=$1 started=$SECONDS status=0 result=passed line ticks
    ticks="$(cpu_ticks)"
    printf '\n== %s ==\n' "$stage"
    # A stage runs in a subshell, outside of any condition, so that its first error ends it.
    set +e
    (
        set -e
        "stage_$stage"
    ) 2>&1 | tee "$logs/$stage.log"
    status=${PIPESTATUS[0]}
    set -e
    if declare -F "verify_$stage" >/dev/null && ! "verify_$stage" "$logs/$stage.log"; then
        status=$((status == 0 ? 1 : status))
    fi
    if [[ $status -ne 0 ]]; then
        result="FAILED ($status)"
        failed[$stage]=ran
    fi
    table+=("$(printf '%-18s %8d %6s %5s  %s' "$stage" "$((SECONDS - started))" "$(load_average)" \
        "$(cpu_share_since "$ticks")" "$result")")
    while read -r line; do
        closing_lines+=("$stage $result:" "$line")
    done < <(closing_lines_of "$logs/$stage.log")
}

for stage in "${stages[@]}"; do
    if is_blocked "$stage"; then
        failed[$stage]=skipped
        table+=("$(printf '%-18s %8s %6s %5s  %s' "$stage" - - - 'not run: a stage it needs failed')")
    else
        run_stage "$stage"
    fi
    if [[ $stage == libraries && -z ${failed[libraries]:-} && " ${stages[*]} " == *' setup '* ]]; then
        start_rest
    fi
done
[[ ${#failed[@]} -eq 0 ]] || exit 1
