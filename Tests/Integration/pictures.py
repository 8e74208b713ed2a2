#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders each dashboard from live data into dashboards/pictures; run by `make pictures`."""

import subprocess
import tempfile
import threading
import time
from pathlib import Path

from boards import BOARDS, FOLDER
from drawing import COLUMN, Drawing
from harness import system_binary
from monitored_services import Monitored
from storefront_lab import Wrk, orders

SECONDS, WINDOW, LINES = 90, "8s", 40
JOBS = {"outrider-fleet": "storefront|chat|memory-lab"}
"""Jobs shown on a picture, if not the storefront and the chat. The probe is left out, since it
causes faults on purpose."""


def take(page: Path, picture: Path, height: int) -> None:
    """Renders a page with Chromium."""
    command = [
        system_binary("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--window-size={24 * COLUMN},{height}", f"--screenshot={picture}", page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def main() -> None:
    """Runs a minute and a half of load with a flash sale in the middle, then takes the pictures."""
    with tempfile.TemporaryDirectory() as folder, Monitored(Path(folder)) as live:
        workspace = Path(folder)
        pause = threading.Event()
        pause.wait(SECONDS / 3)
        with Wrk(live.storefront.service, orders(), workspace, connections=8):
            pause.wait(SECONDS / 4)
        pause.wait(SECONDS / 2)
        end = time.time()
        for name, board in BOARDS.items():
            if name.endswith("-prometheus"):
                continue
            drawing = Drawing(live.classic, end, SECONDS, WINDOW, JOBS.get(name, "storefront|chat"))
            content, height = drawing.page(board, LINES)
            page = workspace / f"{name}.html"
            page.write_text(content, encoding="utf-8")
            take(page, FOLDER / f"pictures/{name}.png", height)
            print(FOLDER / f"pictures/{name}.png")


if __name__ == "__main__":
    main()
