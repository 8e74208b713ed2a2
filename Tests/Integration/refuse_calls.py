#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program for which the kernel refuses some system calls, as with the profiles of container
engines.

refuse_calls.py timer_create,perf_event_open PROGRAM ARGUMENT…

The calls fail with EPERM (seccomp(2), SECCOMP_RET_ERRNO). The architecture is this machine's.
"""

import ctypes
import errno
import os
import re
import struct
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def numbers(names: list[str]) -> list[int]:
    """System call numbers of this machine, from its headers."""
    macros = subprocess.run(
        ["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", macros))
    return [int(known[name]) for name in names]


def refuse(calls: list[int]) -> None:
    """Makes the kernel refuse the calls to this process, also after exec."""
    def step(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    steps = [step(LOAD_NUMBER, 0, 0, 0)]
    for number in calls:
        steps += [step(JUMP_IF_EQUAL, 0, 1, number), step(RETURN, 0, 0, FAIL | errno.EPERM)]
    steps.append(step(RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("H6xP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)]:
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    refuse(numbers(sys.argv[1].split(",")))
    os.execvp(sys.argv[2], sys.argv[2:])
