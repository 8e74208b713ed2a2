#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests the two C shims with the real libraries under the address and undefined-behaviour
# sanitizers, which also look for leaks.
#
#   scripts/sanitize.sh           with the seed that is always the same
#   scripts/sanitize.sh <seed>    with other random requests
#
# The shims are static inline, so they are instrumented with the tests that include them; the
# libraries are the system's. The programs and their logs are in .build/sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $# -gt 1 || ! ${1:-1} =~ ^[0-9]+$ ]]; then
    echo "usage: scripts/sanitize.sh [seed]" >&2
    exit 2
fi

# Swift brings a clang, which need not be on PATH.
compiler="${CLANG:-$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")}"

place=.build/sanitizers
mkdir -p "$place"
read -ra libraries <<<"$(pkg-config --cflags --libs libmicrohttpd zlib)"
flags=(-std=c11 -Wall -Wextra -Werror -O1 -g -fno-omit-frame-pointer -pthread
    -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all -ISources)
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
# No leak is excused.
unset LSAN_OPTIONS

for name in zlib microhttpd; do
    # Some linkers warn about the sanitizers' own symbols; nobody needs to see that.
    "$compiler" "${flags[@]}" "Tests/Sanitizers/$name.c" "${libraries[@]}" \
        -o "$place/$name" >"$place/$name.build.log" 2>&1 || {
        cat "$place/$name.build.log"
        echo "sanitize: $name does not compile"
        exit 1
    }
    arguments=()
    if [[ $name == microhttpd && $# -eq 1 ]]; then arguments=("$1"); fi
    status=0
    timeout --kill-after=5 120 "$place/$name" ${arguments[@]+"${arguments[@]}"} \
        >"$place/$name.log" 2>&1 || status=$?
    if [[ $status -ne 0 ]]; then
        tail -n 80 "$place/$name.log"
        echo "sanitize: $name failed ($status)"
        exit 1
    fi
    echo "sanitize: $(tail -n 1 "$place/$name.log")"
done
