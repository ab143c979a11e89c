"""Make docs/pictures: python -m tools.pictures [why] [page] [top] [dashboards]; or all of them."""

import argparse
import ctypes
import os
import socket
import tempfile
from pathlib import Path

from tests.helpers.browser import browsing
from tools.pictures import dashboards, page, top, why
from tools.pictures.demo_host import recorded
from tools.pictures.folder import made_folder

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "pictures"
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
        if "dashboards" in wanted:
            dashboards.draw(browser, TARGET)
        if "top" in wanted:
            with made_folder() as folder, recorded(folder, RECORDED_S) as found:
                top.draw(found.made, TARGET)


if __name__ == "__main__":
    main()
