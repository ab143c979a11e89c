"""Start the shim without site-packages: ``python3 -I -S -B …/vllmd/shim/__main__.py``."""

import sys

if not __package__:
    sys.path.insert(0, __file__.rsplit("/vllmd/shim/", 1)[0])

from vllmd.shim.main import main

if __name__ == "__main__":
    sys.exit(main())
