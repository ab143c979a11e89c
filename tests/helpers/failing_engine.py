"""A stand-in that fails as a recording does: `python failing_engine.py FOLDER serve …`.

When there is a file `start` or `later` in the folder, its lines are printed, at a start or while it
runs, and all of it ends with the code that is the first of them. The file is used once.
"""

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from vllmd.demo.server import main

LOOK_S = 0.1


def play(path: Path) -> None:
    """End as a file says, if it is there."""
    try:
        code, *lines = path.read_text().splitlines()
        path.unlink()
    except FileNotFoundError:
        return
    sys.stderr.write("\n".join([*lines, ""]))
    sys.stderr.flush()
    os._exit(int(code))


def watch(path: Path) -> None:
    while True:
        play(path)
        time.sleep(LOOK_S)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    play(folder / "start")
    threading.Thread(target=watch, args=(folder / "later",), daemon=True).start()
    sys.exit(main(sys.argv[2:]))
