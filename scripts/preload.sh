#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the malloc hooks and the sampler as a plain shared object for LD_PRELOAD, which needs libc and
# nothing else. The last line that it prints is the object's path; Sources/COutriderPreload/preload.c
# tells how to use it.
#
# Not by SwiftPM: a dynamic library of its making needs Swift's runtime, whatever is in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Swift brings a clang, which need not be on PATH.
compiler="${CLANG:-$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")}"

place=$PWD/.build/preload
object=$place/liboutrider-heap.so
mkdir -p "$place"

parts=(COutriderHeap COutriderStack COutriderSymbols)
includes=()
sources=(Sources/COutriderPreload/*.c)
for part in "${parts[@]}"; do
    includes+=("-ISources/$part/include")
    sources+=(Sources/"$part"/*.c)
done
# Frame pointers, so that the walk finds its way out of the hooks.
"$compiler" -shared -fPIC -std=c11 -O2 -g -gdwarf-4 -fvisibility=hidden -fno-omit-frame-pointer -pthread \
    -Wall -Wextra -Werror -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro "${includes[@]}" "${sources[@]}" \
    -o "$object.$$"
mv "$object.$$" "$object"

needed="$(LC_ALL=C readelf --dynamic --wide "$object" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
if [[ $needed != libc.so.6 ]]; then
    echo "preload: the object needs more than libc: $needed" >&2
    exit 1
fi
# What it exports must be what it replaces, and no more.
surplus="$(LC_ALL=C readelf --dyn-syms --wide "$object" |
    awk '$7 != "UND" && ($5 == "GLOBAL" || $5 == "WEAK") { print $8 }' |
    grep -vE '^(malloc|free|calloc|realloc|reallocarray|posix_memalign|aligned_alloc|memalign|valloc|pvalloc|malloc_usable_size|free_sized|free_aligned_sized|_Zn[wa].*|_Zd[la].*|_edata|_end|__bss_start)$' || true)"
if [[ -n $surplus ]]; then
    echo "preload: the object exports more than the hooks: $surplus" >&2
    exit 1
fi
echo "$object"
