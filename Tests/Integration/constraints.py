# SPDX-License-Identifier: Apache-2.0
"""How a program is begun where it may do, see or change little."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
"""Another user, who may do nothing that needs a privilege and can get none."""


def elsewhere(script: str) -> list[str]:
    """Begins a command in a view of the file system of its own, which a script changes."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh"]


READ_ONLY_SCRIPT = "mount --bind / / && mount -o remount,ro,bind /"
READ_ONLY = elsewhere(READ_ONLY_SCRIPT)
READ_ONLY_BUT_TMP = elsewhere(f"{READ_ONLY_SCRIPT} && mount -t tmpfs -o mode=1777 none /tmp")


def may(command: Sequence[str]) -> bool:
    """Whether this machine lets a test begin a program so."""
    return subprocess.run([*command, "true"], capture_output=True, timeout=60).returncode == 0


@contextmanager
def for_everybody(program: str) -> Iterator[Path]:
    """A copy of a program where every user can run it, and not below /tmp, which may be another one then."""
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        place.chmod(0o755)
        yield Path(shutil.copy(program, place))
    finally:
        shutil.rmtree(place)
