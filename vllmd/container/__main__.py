"""Run a daemon below it, without site-packages: ``python3 -I -S -B …/__main__.py COMMAND…``."""

import sys

if not __package__:
    sys.path.insert(0, __file__.rsplit("/vllmd/container/", 1)[0])

from vllmd.container.first_process import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
