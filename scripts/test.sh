#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the checks in order and stops at the first that fails. With names, runs only those stages:
#
#   scripts/test.sh build unit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stages=(setup lint layers traits build unit unit-hooked thread-sanitizer sanitize fuzz bench-check instructions
    heap-cost demo integration)
if [[ $# -gt 0 ]]; then
    stages=("$@")
fi

# shellcheck disable=SC2206 # one flag for each word
flags=(${SWIFT_BUILD_FLAGS:-})
logs=.build/test-logs
mkdir -p "$logs"
rm -f "$logs"/*.log

table=()
closing_lines=()

# stage_<name> runs a stage. verify_<name>, where there is one, then reads its output for what an
# exit status does not tell, and says what is wrong.

stage_setup() {
    scripts/setup.sh test
    scripts/newer-prometheus.sh
    swift --version 2>/dev/null | head -n 1
    prometheus --version 2>&1 | head -n 1
    .build/python/bin/python --version
}

stage_lint() {
    scripts/lint.sh
}

stage_traits() {
    scripts/traits.sh
}

verify_traits() {
    # Not what other packages' builds warn of.
    if grep -E "^$PWD/(Sources|Tests)/[^:]*:[0-9]+:[0-9]+: warning: " "$1"; then
        echo "The build warns. A warning is an error here."
        return 1
    fi
    verify_unit "$1"
}

# The order of flags, as in scripts/traits.sh; the tests keep theirs.
build() {
    SWIFT_DETERMINISTIC_HASHING=1 swift build ${flags[@]+"${flags[@]}"} "$@"
}

stage_build() {
    build --build-tests
}

verify_build() {
    local place="^$PWD/(Sources|Tests)/[^:]*:[0-9]+:[0-9]+: warning: "
    if ! grep -qE "$place|^warning: '[^']*': " "$1"; then
        return 0
    fi
    # The compiler repeats no warning for a file that it does not compile again. A new date makes it
    # compile the file in the next run too.
    grep -E "$place" "$1" | cut -d : -f 1 | sort -u | while read -r file; do touch "$file"; done
    echo "The build warns. A warning is an error here."
    return 1
}

stage_layers() {
    python3 scripts/check_layers.py
}

stage_api() {
    scripts/api.sh --check
}

stage_unit() {
    swift test ${flags[@]+"${flags[@]}"} --skip-build
}

# Swift Testing passes when it finds no test at all.
verify_unit() {
    if ! grep -qE 'Test run with [1-9][0-9]* tests?' "$1"; then
        echo "No test ran."
        return 1
    fi
}

# The whole test bundle once more, with every allocation of it sampled by the preloaded hooks. All but one
# test: it counts on how many stacks libc keeps to use again, one of which the hooks' own thread has.
stage_unit-hooked() {
    local hooks
    hooks="$(scripts/preload.sh | tail -n 1)"
    OUTRIDER_HEAP_INTERVAL=1 OUTRIDER_HEAP_PROFILE="$PWD/.build/unit-hooked.%p.pb.gz" \
        LD_PRELOAD="$hooks" swift test ${flags[@]+"${flags[@]}"} --skip-build \
            --skip 'without memory for a thread'
}

verify_unit-hooked() {
    verify_unit "$1" || return 1
    # A test bundle without profiles was not hooked.
    local profile=("$PWD"/.build/unit-hooked.*.pb.gz)
    if [[ ! -s ${profile[0]} ]]; then
        echo "The hooks wrote no profile."
        return 1
    fi
    rm -f "${profile[@]}"
}

stage_thread-sanitizer() {
    TSAN_OPTIONS="halt_on_error=0 exitcode=66" \
        swift test ${flags[@]+"${flags[@]}"} --sanitize thread \
        --scratch-path .build/thread-sanitizer --filter "Concurrency|OutriderEndpointTests"
}

verify_thread-sanitizer() {
    if grep -qE '(WARNING|FATAL|ERROR): ThreadSanitizer|ThreadSanitizer: reported' "$1"; then
        echo "The thread sanitizer reports a race, or could not run."
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

stage_bench-check() {
    scripts/bench.sh --check
}

stage_instructions() {
    scripts/instructions.py
}

stage_heap-cost() {
    scripts/bench-heap.py --check
}

stage_demo() {
    scripts/build-release.sh examples/quickstart quickstart
    scripts/build-release.sh examples/memory-lab memory-lab
    scripts/build-release.sh examples storefront
    scripts/build-release.sh examples chat
    swift build ${flags[@]+"${flags[@]}"} --package-path Tests/Libraries
    scripts/build-release.sh Tests/Hosts bare
    scripts/build-release.sh Tests/Hosts linked
}

stage_integration() {
    PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=.build/hypothesis \
        .build/python/bin/python -m pytest Tests/Integration -q -p no:cacheprovider
}

# The last word of the test runner of a stage: Swift Testing's, or pytest's.
closing_line() {
    local swift_testing='Test run with [0-9]+ tests?'
    local pytest='^(=+ )?([0-9]+ (passed|failed|error|skipped)|no tests ran).* in [0-9.]+s'
    grep -E "$swift_testing|$pytest" "$1" | tail -n 1
}

summary() {
    local status=$?
    echo
    printf '%-18s %8s  %s\n' stage seconds result
    printf '%s\n' "${table[@]}"
    echo
    if [[ ${#closing_lines[@]} -gt 0 ]]; then
        printf '%s\n' "${closing_lines[@]}"
        echo
    fi
    if [[ $status -eq 0 ]]; then
        echo "Every check passed in $SECONDS s."
    else
        echo "Stopped after $SECONDS s. The output of each stage is in $logs."
    fi
    exit "$status"
}
trap summary EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for stage in "${stages[@]}"; do
    printf '\n== %s ==\n' "$stage"
    started=$SECONDS
    # A stage runs in a shell of its own, outside of any condition, so that its first error ends it.
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

    result=passed
    if [[ $status -ne 0 ]]; then
        result="FAILED ($status)"
    fi
    table+=("$(printf '%-18s %8d  %s' "$stage" "$((SECONDS - started))" "$result")")
    if line="$(closing_line "$logs/$stage.log")"; then
        closing_lines+=("$stage $result:" "$line")
    fi
    if [[ $status -ne 0 ]]; then
        exit "$status"
    fi
done
