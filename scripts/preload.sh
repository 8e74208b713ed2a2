#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the malloc hooks and their sampler as a shared object for LD_PRELOAD, which samples the
# heap of any glibc program:
#
#   OUTRIDER_HEAP_PROFILE=/tmp/%p.pb.gz LD_PRELOAD="$(scripts/preload.sh | tail -n 1)" python3 …
#   go tool pprof -top /tmp/….pb.gz
#
# The last line of its output is the path of the object. It depends on libc only, and exports
# nothing but the functions that it hooks; both are checked. Sources/COutriderPreload/preload.c
# describes its settings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

compiler="$(find_clang)"

place=.build/preload
object="$place/liboutrider-heap.so"
mkdir -p "$place"
parts=(Output Stack Symbols Heap Preload)
sources=()
flags=(-std=c11 -DOUTRIDER_HEAP_PRELOADED -Wall -Wextra -Werror -O2 -fPIC -fvisibility=hidden -fno-omit-frame-pointer
    -pthread -g -gdwarf-4)
for part in "${parts[@]}"; do
    sources+=("Sources/COutrider$part"/*.c)
    flags+=("-ISources/COutrider$part/include")
done

# Written under another name first: a program may be running with the previous object. Old DWARF,
# which valgrind can read; frame pointers, so that the stack walk leaves the hooks.
new="$object.$$"
trap 'rm -f "$new"' EXIT
"$compiler" "${flags[@]}" -shared -Wl,--no-undefined -Wl,-z,now -Wl,-z,relro \
    -Wl,-soname,liboutrider-heap.so -Wl,--version-script=Sources/COutriderPreload/hooks.map \
    -o "$new" "${sources[@]}"

needed="$(LC_ALL=C readelf --dynamic --wide "$new" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
foreign="$(grep -vxE 'libc\.so\.6|ld-linux-[a-z0-9-]+\.so\.[0-9]+' <<<"$needed" || true)"
if [[ -n $foreign ]]; then
    echo "preload: the object depends on more than libc: $foreign" >&2
    exit 1
fi

# The functions of malloc, C++'s operators new (_Zn) and delete (_Zd), the calls by which a program
# confines itself, the one by which it unloads a library, and those by which it starts threads.
hooks='malloc|free|calloc|realloc|reallocarray|posix_memalign|aligned_alloc|memalign|valloc|pvalloc'
hooks+='|malloc_usable_size|free_sized|free_aligned_sized|_Z[nd][wal][A-Za-z0-9_]*'
hooks+='|prctl|syscall|dlclose|pthread_create|thrd_create'
# Lowercase letters mark symbols that the linker keeps for relocations, which are not visible
# outside.
exported="$(nm --dynamic --defined-only --format=posix "$new" |
    awk '$2 ~ /[A-Z]/ { print $1 }')"
unexpected="$(grep -vxE "$hooks" <<<"$exported" || true)"
if [[ -n $unexpected ]]; then
    echo "preload: the object exports symbols that are not hooks: $unexpected" >&2
    exit 1
fi
if ! grep -qx malloc <<<"$exported"; then
    echo "preload: the object does not export malloc" >&2
    exit 1
fi

mv "$new" "$object"
echo "$PWD/$object"
