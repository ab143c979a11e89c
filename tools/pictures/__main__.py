"""Make docs/pictures: python -m tools.pictures [why] [page] [top] [dashboards]; or all of them."""

import argparse
import ctypes
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.browser import Browser, browsing
from tools.pictures import dashboards, page, top, why
from tools.pictures.demo_host import Recorded, recorded
from tools.pictures.folder import made_folder

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "pictures"
DRAWN = ROOT / "build" / "dashboards"
"""All dashboards, in all widths: for a person to look at."""
SHOWN_WIDTH = 1280
RECORDED_S = 600.0
HOST = "gpu-01"
CLONE_NEWUTS = 0x04000000
"""Source: sched.h of Linux."""
NAMES = ("why", "page", "top", "dashboards")


def name_host() -> None:
    """Let this process and its children have a host of that name; only root may."""
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWUTS) == 0:
        socket.sethostname(HOST)


def main() -> None:
    """Make what is wanted."""
    parser = argparse.ArgumentParser(prog="tools.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME", default=[])
    wanted = parser.parse_args().names or NAMES
    name_host()
    TARGET.mkdir(exist_ok=True)
    if "why" in wanted:
        why.draw(TARGET)
    with tempfile.TemporaryDirectory() as work, browsing(Path(work)) as browser:
        if "page" in wanted:
            page.draw(browser, TARGET)
        if {"top", "dashboards"} & set(wanted):
            draw_host(browser, wanted)


def draw_host(browser: Browser, wanted: Sequence[str]) -> None:
    """Let a host run for ten minutes, then draw what is to be seen of it."""
    with made_folder() as folder, recorded(folder, RECORDED_S) as found:
        if "top" in wanted:
            top.draw(found.made, TARGET)
        if "dashboards" in wanted:
            draw_dashboards(browser, found)


def draw_dashboards(browser: Browser, recorded: Recorded) -> None:
    """Write a picture of each dashboard.

    Raises: SystemExit: one could not be drawn as it is.
    """
    shutil.rmtree(DRAWN, ignore_errors=True)
    if problems := dashboards.draw(browser, recorded, DRAWN):
        raise SystemExit("\n".join(problems))
    for path in DRAWN.glob(f"*-{SHOWN_WIDTH}.png"):
        shutil.copy(path, TARGET / path.name.replace(f"-{SHOWN_WIDTH}", ""))


if __name__ == "__main__":
    main()
