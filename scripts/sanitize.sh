#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests the C code under the address and undefined-behaviour sanitizers, with leak detection: the
# two shims with the real libraries, the heap sampler's tables, the unwind tables, the symbol
# reader, the writer of the preloaded object, and the hooks of the Swift runtime on a simulation of
# it. The parts where threads race, which are the sampler's tables, those hooks and the cells of
# metrics, are tested under the thread sanitizer too.
#
# Not included: the malloc hooks, which conflict with a sanitizer's own malloc (Tests/Integration
# tests them).
#
#   scripts/sanitize.sh           with the default seed
#   scripts/sanitize.sh <seed>    with other random requests
#
# The shims are static inline, so they are instrumented with the tests that include them; libraries
# are the system's. The programs and their logs are in .build/sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if [[ $# -gt 1 || ! ${1:-1} =~ ^[0-9]+$ ]]; then
    echo "usage: scripts/sanitize.sh [seed]" >&2
    exit 2
fi

compiler="$(find_clang)"

place=.build/sanitizers
mkdir -p "$place"
read -ra libraries <<<"$(pkg-config --cflags --libs libmicrohttpd zlib)"
flags=(-std=c11 -Wall -Wextra -Werror -O1 -g -fno-omit-frame-pointer -pthread
    -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all -ISources)
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
# No leak is suppressed.
unset LSAN_OPTIONS

compile() {
    local name=$1 log=$place/$1.build.log
    shift
    # Some linkers warn about the sanitizers' own symbols; these warnings are hidden.
    "$compiler" "$@" -o "$place/$name" >"$log" 2>&1 || {
        cat "$log"
        echo "sanitize: $name does not compile"
        exit 1
    }
}

run() {
    local name=$1 status=0
    shift
    timeout --kill-after=5 900 "$@" >"$place/$name.log" 2>&1 || status=$?
    if [[ $status -ne 0 ]]; then
        tail -n 80 "$place/$name.log"
        echo "sanitize: $name failed ($status)"
        exit 1
    fi
    echo "sanitize: $(tail -n 1 "$place/$name.log")"
}

declare -A sources
sources[zlib]=""
sources[microhttpd]=""
sources[cells]="Sources/COutriderCells/rows.c Sources/COutriderFork/fork.c"
stack="$(echo Sources/COutriderStack/*.c)"
sources[heap_tables]="$stack"
for part in blocks sites unloads; do
    sources[heap_tables]+=" Sources/COutriderHeap/$part.c"
done
for name in unwind unwind_steps unwind_parser unwind_fuzz unwind_rows; do
    sources[$name]=$stack
done
sources[output]="$(echo Sources/COutriderOutput/*.c)"
sources[symbols]="$(echo Sources/COutriderSymbols/*.c)"
sources[preload_writer]="${sources[symbols]} ${sources[output]}"
for part in buffer file gzip pprof settings text; do
    sources[preload_writer]+=" Sources/COutriderPreload/$part.c"
done
for part in COutriderCells COutriderFork COutriderHeap COutriderOutput COutriderRuntime COutriderStack COutriderSymbols; do
    flags+=("-ISources/$part/include")
done

programs=(zlib microhttpd cells heap_tables output symbols preload_writer)
if [[ $(uname -sm) == "Linux x86_64" ]]; then
    programs+=(unwind_steps unwind_parser unwind_fuzz)
fi
# Builds and runs a program of Tests/Sanitizers, with the seed if it uses one.
check() {
    local name=$1
    shift
    if [[ $name == zlib || $name == cells || $name == output || $name == unwind_steps || $name == unwind_parser ]]; then
        set --
    fi
    local more=()
    # A second executable segment, as linker scripts and BOLT create.
    if [[ $name == symbols ]]; then more=(-no-pie -fuse-ld=bfd -Wl,--section-start=.text_apart=0x40000000); fi
    # shellcheck disable=SC2086 # one file for each word
    compile "$name" "${flags[@]}" "${more[@]}" -Wl,--build-id "Tests/Sanitizers/$name.c" ${sources[$name]} \
        "${libraries[@]}" -lm
    run "$name" "$place/$name" "$@"
}
for name in "${programs[@]}"; do
    run_job check "$name" "$@"
done

# The restartable sequences of the other architecture: assembled, not run.
printf '#include "outrider_cells.h"\n%s\n%s\n' \
    'bool add(uint64_t place) { return outrider_rows_add(place, 1); }' \
    'bool add_double(uint64_t place) { return outrider_rows_add_double(place, 1); }' >"$place/cells_aarch64.c"
run_job compile cells_aarch64.o --target=aarch64-linux-gnu -ffreestanding -c -O2 -Wall -Wextra -Werror \
    -ISources/COutriderCells/include "$place/cells_aarch64.c"

# All of our C code for an architecture and a C library without a test machine: compiled, not run.
# The preloaded object supports glibc only.
elsewhere() {
    local target=$1 file includes=()
    shift
    for file in Sources/C*/include; do includes+=("-I$file"); done
    for file in Sources/C*/*.c; do
        if [[ $target == *-musl && $file == Sources/COutriderPreload/* ]]; then
            continue
        fi
        compile "$target-$(basename "$file" .c).o" --target="$target" "$@" -std=gnu11 -Wall -Wextra -Werror -O1 -c \
            "${includes[@]}" -ISources/COutriderHeap "$file"
    done
    echo "compiled for $target"
}
run_job elsewhere aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include
run_job elsewhere x86_64-linux-musl -nostdlibinc -isystem /usr/include/x86_64-linux-musl

swift_libraries="$(swiftc -print-target-info |
    sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p' | head -n 1)/linux"

# Walks through libraries, including libdispatch; a second time without the address sanitizer, whose
# frames hide the start of libdispatch's threads.
check_walks() {
    # shellcheck disable=SC2086 # one file for each word
    compile unwind "${flags[@]}" Tests/Sanitizers/unwind.c ${sources[unwind]}
    run unwind "$place/unwind" "$swift_libraries/libdispatch.so"
    local flag plain=()
    for flag in "${flags[@]}"; do [[ $flag == -fsanitize=address ]] || plain+=("$flag"); done
    # shellcheck disable=SC2086 # one file for each word
    compile unwind_plain "${plain[@]}" Tests/Sanitizers/unwind.c ${sources[unwind]}
    run unwind_plain "$place/unwind_plain" "$swift_libraries/libdispatch.so"
}

check_rows() {
    # shellcheck disable=SC2086 # one file for each word
    compile unwind_rows "${flags[@]}" Tests/Sanitizers/unwind_rows.c ${sources[unwind_rows]}
    run unwind_rows python3 Tests/Sanitizers/unwind_rows.py "$place/unwind_rows" libc.so.6 \
        libstdc++.so.6 libm.so.6 libgcc_s.so.1 "$swift_libraries/libdispatch.so"
}

if [[ $(uname -sm) == "Linux x86_64" ]]; then
    run_job check_walks
    run_job check_rows
fi

# The hooked functions are called through the global offset table, which the loader write-protects.
runtime_sources="$(echo Sources/COutriderRuntime/*.c) ${sources[unwind]}"
hardened=(-Wl,-z,relro -Wl,-z,now -L"$place" "-Wl,-rpath,$PWD/$place")
check_runtime() {
    compile libruntime_swift.so "${flags[@]}" -fPIC -shared Tests/Sanitizers/runtime_swift.c \
        -Wl,-z,relro -Wl,-z,now
    # shellcheck disable=SC2086 # one file for each word
    compile runtime "${flags[@]}" Tests/Sanitizers/runtime.c $runtime_sources "${hardened[@]}" \
        -lruntime_swift -lm
    run runtime "$place/runtime"
}
run_job check_runtime

# The thread sanitizer of Swift's clang requires libdispatch.
race_flags=(-std=c11 -Wall -Wextra -Werror -O1 -g -fno-omit-frame-pointer -pthread -fsanitize=thread
    -ISources/COutriderHeap/include -ISources/COutriderRuntime/include -ISources/COutriderStack/include -ISources/COutriderSymbols/include -L"$swift_libraries" "-Wl,-rpath,$swift_libraries")
# It requires the address space layout without randomization.
run_under_thread_sanitizer() {
    TSAN_OPTIONS="halt_on_error=1 exitcode=66" run "$1" setarch --addr-no-randomize "$place/$1"
}

check_heap_races() {
    # shellcheck disable=SC2086 # one file for each word
    compile heap_tables_races "${race_flags[@]}" Tests/Sanitizers/heap_tables.c ${sources[heap_tables]} \
        -lm -ldispatch -lBlocksRuntime
    run_under_thread_sanitizer heap_tables_races
}

# Under this sanitizer no CPU has a row, since the sanitizer cannot see the effects of a restartable
# sequence.
check_cell_races() {
    # shellcheck disable=SC2086 # one file for each word
    compile cells_races "${race_flags[@]}" -ISources/COutriderCells/include -ISources/COutriderFork/include \
        -DCELLS_UNDER_THREAD_SANITIZER Tests/Sanitizers/cells.c ${sources[cells]} -ldispatch -lBlocksRuntime
    run_under_thread_sanitizer cells_races
}

check_runtime_races() {
    compile libruntime_swift_races.so "${race_flags[@]}" -fPIC -shared Tests/Sanitizers/runtime_swift.c \
        -Wl,-z,relro -Wl,-z,now
    # shellcheck disable=SC2086 # one file for each word
    compile runtime_races "${race_flags[@]}" Tests/Sanitizers/runtime.c $runtime_sources "${hardened[@]}" \
        -lruntime_swift_races -lm -ldispatch -lBlocksRuntime
    run_under_thread_sanitizer runtime_races
}

run_job check_heap_races
run_job check_cell_races
run_job check_runtime_races
await_jobs
