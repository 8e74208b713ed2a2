# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts that fetch packages of newer Debian releases for the tests; source it from
# the root of the repository.
#
# Packages come from the mirror that apt already uses, are unpacked below .build and never
# installed; the package manager's own sources, lists and caches do not change.
# shellcheck shell=bash

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# In seconds. Lists are 10 MB, the largest package is 35 MB.
update_limit=90
download_limit=180

# The suites that are newer than this system. A system other than Debian counts as older.
newer_suites() {
    local own newer=' bookworm trixie forky sid ' suite
    # shellcheck source=/dev/null
    own="$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" || true
    newer="${newer##* ${own:-none} }"
    for suite in trixie sid; do
        if [[ " $newer" == *" $suite "* ]]; then
            echo "$suite"
        fi
    done
}

# The Debian mirror that apt has package lists of. Mirrors of security updates and backports have
# other labels.
mirror_of_apt() {
    # shellcheck disable=SC2016 # apt-get fills it in
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null |
        awk '!/^cdrom:/ && !found++'
}

# Prints what prevents this system from doing it; empty if it can be tried.
obstacle() {
    local tool
    for tool in apt-get apt-config dpkg timeout; do
        if ! command -v "$tool" >/dev/null; then
            echo "this is not a Debian system: $tool is missing"
            return
        fi
    done
    if [[ ! -r $keyring ]]; then
        echo "$keyring is missing, so signatures cannot be verified (package debian-archive-keyring)"
    elif [[ -z $(mirror_of_apt) ]]; then
        echo "apt has no package lists of a Debian mirror; run \`apt-get update\` with a mirror in its sources"
    fi
}

# Writes the configuration of apt-get for one suite. It takes only the mirror and network settings
# from the system's own, so that other sources and hooks after an update have no effect.
write_configuration() {
    local folder="$1" suite="$2" mirror
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,none}
    : >"$folder/status"
    mirror="$(mirror_of_apt)"
    # An outdated mirror is good enough for tests: its lists are signed, even if they have expired.
    echo "deb [signed-by=$keyring check-valid-until=no] $mirror $suite main" \
        >"$folder/sources.list"
    apt-config dump | grep -iE '^Acquire::(https?::|check-date|.*proxy)' >"$folder/apt.conf" || true
    cat >>"$folder/apt.conf" <<END
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$folder/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$folder/none";
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "$folder/none";
Dir::State "$folder";
Dir::State::lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Dir::Log "$folder";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
APT::Sandbox::User "";
END
}

# Runs apt-get with that configuration and a timeout in seconds, quietly unless it fails.
apt_get() {
    local folder="$1" limit="$2"
    shift 2
    (cd "$folder" &&
        APT_CONFIG="$folder/apt.conf" DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            timeout --kill-after=10 "$limit" apt-get -q "$@" </dev/null >output 2>&1)
}

# Prints why a command failed: a timeout, or the first error that it wrote.
reason() {
    local status="$1" folder="$2"
    if [[ $status -eq 124 || $status -eq 137 ]]; then
        echo "timed out"
    else
        grep -m 1 '^E:' "$folder/output" || echo "apt-get failed with status $status"
    fi
}

# Runs the given apt-get command for a suite and unpacks the packages into the folder `unpacked`, or
# prints the problem on stdout.
unpack_packages() {
    local work="$1" suite="$2" status=0 package
    shift 2
    write_configuration "$work" "$suite"
    # An update that only warns may have fetched nothing.
    apt_get "$work" "$update_limit" -o APT::Update::Error-Mode=any update || status=$?
    if [[ $status -ne 0 ]]; then
        echo "cannot fetch package lists: $(reason "$status" "$work")"
        return
    fi
    apt_get "$work" "$download_limit" "$@" || status=$?
    for package in "$work"/*.deb "$work"/cache/archives/*.deb; do
        [[ $status -eq 0 && -f $package ]] || continue
        if ! dpkg -x "$package" "$work/unpacked" >"$work/output" 2>&1; then
            echo "cannot unpack a package: $(head -n 1 "$work/output")"
            return
        fi
    done
    if [[ ! -d $work/unpacked ]]; then
        echo "cannot fetch packages: $(reason "$status" "$work")"
    fi
}

# For scripts that take the names of suites:
#
#   fetch_suites NAME HOME FILE WHAT fetch_into SUITE...
#
# For each suite, prints the path of FILE in the suite's folder below HOME. If it does not exist
# yet, `fetch_into WORK SUITE` creates the folder WORK/unpacked, or prints the problem on stdout;
# then a message on stderr, prefixed with NAME, reports the missing WHAT.
fetch_suites() {
    local name="$1" home="$2" file="$3" what="$4" fetch_into="$5" suite problem impossible
    shift 5
    impossible="$(obstacle)"
    for suite in "$@"; do
        if [[ -e $home/$suite/$file ]]; then
            echo "$home/$suite/$file"
            continue
        fi
        problem="$impossible"
        if [[ -z $problem ]]; then
            mkdir -p "$home"
            work="$(mktemp -d "$home/$suite.XXXXXX")"
            trap 'rm -rf "$work"' EXIT
            trap 'exit 130' INT
            trap 'exit 143' TERM
            problem="$("$fetch_into" "$work" "$suite")"
            if [[ -z $problem ]]; then
                # Moved as a whole, so a folder with the name of a suite is always complete.
                rm -rf "${home:?}/$suite"
                mv "$work/unpacked" "$home/$suite"
            fi
            rm -rf "$work"
        fi
        if [[ -z $problem ]]; then
            echo "$home/$suite/$file"
        else
            {
                echo "$name: NO $what FROM DEBIAN ${suite^^}: $problem"
                echo "$name: the integration tests that need it will be SKIPPED"
            } >&2
        fi
    done
}

# Sets the suites: those given as arguments, or all newer ones. `--suites` prints the newer ones and
# exits.
choose_suites() {
    local suite
    if [[ ${1:-} == --suites ]]; then
        newer_suites
        exit
    fi
    mapfile -t suites < <(newer_suites)
    if [[ $# -gt 0 ]]; then
        suites=("$@")
    fi
    for suite in "${suites[@]}"; do
        if [[ ! $suite =~ ^[a-z]+$ ]]; then
            echo "usage: $0 [--suites | suite ...]" >&2
            exit 2
        fi
    done
}
