# SPDX-License-Identifier: Apache-2.0
# What the scripts share that fetch packages of newer Debian releases for the tests; source it from the root of the
# repository.
#
# Packages come from the mirror that apt uses already, are unpacked below .build and never installed; the package
# manager's own sources, lists and caches stay as they are.
# shellcheck shell=bash

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Seconds. Lists are 10 MB, the largest package is 35 MB.
update_limit=90
download_limit=180

# Those suites that are newer than this system. A system that is none of Debian's counts as older.
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

# The Debian mirror that apt has package lists of. Mirrors of security updates and of backports have
# other labels.
mirror_of_apt() {
    # shellcheck disable=SC2016 # apt-get fills it in
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null |
        awk '!/^cdrom:/ && !found++'
}

# What keeps this system from it; nothing if it can be tried.
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

# The configuration of apt-get for one suite. Of the system's own it has the mirror and how that is
# reached, so that neither its other sources nor what it does after an update come into play.
write_configuration() {
    local folder="$1" suite="$2" mirror
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,none}
    : >"$folder/status"
    mirror="$(mirror_of_apt)"
    # A mirror that lags behind is good enough for tests: its lists are signed, if not of this week.
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

# Runs apt-get with that configuration, for so many seconds, quietly unless it fails.
apt_get() {
    local folder="$1" limit="$2"
    shift 2
    (cd "$folder" &&
        APT_CONFIG="$folder/apt.conf" DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            timeout --kill-after=10 "$limit" apt-get -q "$@" </dev/null >output 2>&1)
}

# Why a command failed: that it took too long, or the first error that it wrote.
reason() {
    local status="$1" folder="$2"
    if [[ $status -eq 124 || $status -eq 137 ]]; then
        echo "timed out"
    else
        grep -m 1 '^E:' "$folder/output" || echo "apt-get failed with status $status"
    fi
}

# Unpacks packages of a suite into the folder `unpacked`, as apt-get gets them by the command that is given, or says on
# stdout what went wrong.
unpack_packages() {
    local work="$1" suite="$2" status=0 package
    shift 2
    write_configuration "$work" "$suite"
    # An update that only warns may have got nothing.
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

# What a script does that takes the names of suites, for each of them:
#
#   fetch_suites NAME HOME FILE WHAT fetch_into SUITE...
#
# prints the path of FILE in the folder of the suite below HOME. Where that is not there yet, `fetch_into WORK SUITE`
# makes the folder WORK/unpacked, or says on stdout why it cannot; then NAME says so on stderr, and that there is no WHAT.
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
                # All or nothing: a folder with the name of a suite is whole.
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

# The suites that a script is to take: those that its arguments name, or all newer ones. `--suites` prints these and ends it.
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
