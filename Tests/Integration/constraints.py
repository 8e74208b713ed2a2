# SPDX-License-Identifier: Apache-2.0
"""Prefixes for a command that restrict what the program may do, see or change."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

UNPRIVILEGED = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
"""Runs a command as another user, without capabilities and without a way to gain any."""


def in_own_mounts(script: str) -> list[str]:
    """Runs a command in its own mount namespace, after a script that changes mounts there."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh"]


READ_ONLY_SCRIPT = "mount --bind / / && mount -o remount,ro,bind /"
READ_ONLY = in_own_mounts(READ_ONLY_SCRIPT)
READ_ONLY_BUT_TMP = in_own_mounts(f"{READ_ONLY_SCRIPT} && mount -t tmpfs -o mode=1777 none /tmp")


def is_permitted(command: Sequence[str]) -> bool:
    """Whether this machine permits these restrictions."""
    return subprocess.run([*command, "true"], capture_output=True, timeout=60).returncode == 0


@contextmanager
def world_readable_copy(program: str) -> Iterator[Path]:
    """A copy of a program that every user can run. Not below /tmp, which the restrictions may
    replace."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        yield Path(shutil.copy(program, folder))
    finally:
        shutil.rmtree(folder)
