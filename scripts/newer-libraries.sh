#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer libraries than the system's for the integration tests: glibc and libmicrohttpd with
# their dependencies, of Debian trixie (2.41 and 1.0.1) and of Debian sid, if they are newer
# releases than this system. Some 8 MB each. They come from the mirror that apt already uses, are
# unpacked below .build and never installed; the package manager's own sources, lists and caches do
# not change. A repeated run costs nothing.
#
#   scripts/newer-libraries.sh             prints the path of the dynamic linker of each suite, one per line
#   scripts/newer-libraries.sh trixie      the same for the named suites
#   scripts/newer-libraries.sh --suites    prints the suites that are used by default
#
# A program runs with them through that linker: .build/debian/trixie/ld.so --library-path
# .build/debian/trixie/lib PROGRAM. Tests/Integration/newer_libraries.py does so without a visible
# difference for the program.
#
# If the libraries are unavailable, the script reports why on stderr and succeeds, and the tests
# skip them. scripts/debian-root.sh tests the differences of a complete system.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/debian.sh
source scripts/debian.sh

choose_suites "$@"

# Unpacks the libraries of a suite, or prints the problem on stdout.
fetch_into() {
    local work="$1" suite="$2" problem linkers folders place
    # This apt-get sees no package as installed, so it fetches all dependencies.
    problem="$(unpack_packages "$work" "$suite" install --yes --download-only --no-install-recommends \
        libmicrohttpd12t64 zlib1g libstdc++6)"
    if [[ -n $problem ]]; then
        echo "$problem"
        return
    fi
    place="$work/unpacked"
    linkers=("$place"/usr/lib*/ld-linux-*.so.?)
    folders=("$place"/usr/lib/*-linux-gnu*)
    if [[ ! -e ${linkers[0]} || ! -d ${folders[0]} ]]; then
        echo "the packages have no dynamic linker in the expected directory"
        return
    fi
    # Short names, which fit into the space of the system linker's path in a program.
    ln -s "${linkers[0]#"$place"/}" "$place/ld.so"
    ln -s "${folders[0]#"$place"/}" "$place/lib"
    if ! timeout 20 "$place/ld.so" --library-path "$place/lib" "$(type -P true)" >"$work/output" 2>&1; then
        echo "the libraries do not run on this system: $(head -n 1 "$work/output")"
    fi
}

fetch_suites newer-libraries "$PWD/.build/debian" ld.so LIBRARIES fetch_into "${suites[@]}"
