"""Make docs/pictures: python -m tools.pictures [why] [page] [dashboards]; without a name, all."""

import argparse
import ctypes
import os
import shutil
import socket
import tempfile
from pathlib import Path

from tests.helpers.browser import Browser, browsing
from tools.pictures import dashboards, page, why
from tools.pictures.demo_host import recorded

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "pictures"
DRAWN = ROOT / "build" / "dashboards"
"""All dashboards, in all widths: for a person to look at."""
SHOWN_WIDTH = 1280
RECORDED_S = 600.0
HOST = "gpu-01"
CLONE_NEWUTS = 0x04000000
"""Source: sched.h of Linux."""
NAMES = ("why", "page", "dashboards")


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
        if "dashboards" in wanted:
            draw_dashboards(browser)


def draw_dashboards(browser: Browser) -> None:
    """Record a host for ten minutes and write a picture of each dashboard.

    Raises: SystemExit: one could not be drawn as it is.
    """
    shutil.rmtree(DRAWN, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="vllmd-") as folder,
        recorded(Path(folder), RECORDED_S) as found,
    ):
        problems = dashboards.draw(browser, found, DRAWN)
    if problems:
        raise SystemExit("\n".join(problems))
    for path in DRAWN.glob(f"*-{SHOWN_WIDTH}.png"):
        shutil.copy(path, TARGET / path.name.replace(f"-{SHOWN_WIDTH}", ""))


if __name__ == "__main__":
    main()
