#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer libraries than the system's, for the integration tests: glibc and libmicrohttpd, with what they need, of
# Debian trixie (2.41 and 1.0.1) and of Debian sid, as far as they are newer releases than this system. Some 8 MB each.
# They come from the mirror that apt uses already, are unpacked below .build and never installed; the package manager's own
# sources, lists and caches stay as they are. Runs again at no cost.
#
#   scripts/newer-libraries.sh             prints the path of the dynamic linker of each suite, one a line
#   scripts/newer-libraries.sh trixie      the same for the suites that it names
#   scripts/newer-libraries.sh --suites    prints the suites that it takes unless some are named
#
# A program runs with them by that linker: .build/debian/trixie/ld.so --library-path .build/debian/trixie/lib PROGRAM.
# Tests/Integration/newer_libraries.py does it so that the program does not see a difference.
#
# Libraries that cannot be had are no failure: it says why on stderr, and the tests skip them. What differs in a whole
# system, scripts/debian-root.sh tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/debian.sh
source scripts/debian.sh

choose_suites "$@"

# Unpacks the libraries of a suite, or says on stdout what went wrong.
fetch_into() {
    local work="$1" suite="$2" problem linkers folders place
    # No package is installed as far as this apt-get knows, so it gets all that these need.
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
    # Short names, which have room in the place of the system's linker in a program.
    ln -s "${linkers[0]#"$place"/}" "$place/ld.so"
    ln -s "${folders[0]#"$place"/}" "$place/lib"
    if ! timeout 20 "$place/ld.so" --library-path "$place/lib" "$(type -P true)" >"$work/output" 2>&1; then
        echo "the libraries do not run on this system: $(head -n 1 "$work/output")"
    fi
}

fetch_suites newer-libraries "$PWD/.build/debian" ld.so LIBRARIES fetch_into "${suites[@]}"
