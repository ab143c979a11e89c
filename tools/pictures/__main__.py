"""Make the pictures of docs/pictures: python -m tools.pictures [why] [page]; all without a name."""

import argparse
import ctypes
import os
import socket
import tempfile
from pathlib import Path

from tests.helpers.browser import browsing
from tools.pictures import page, why

TARGET = Path(__file__).parents[2] / "docs" / "pictures"
HOST = "gpu-01"
CLONE_NEWUTS = 0x04000000
"""Source: sched.h of Linux."""
NAMES = ("why", "page")


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


if __name__ == "__main__":
    main()
