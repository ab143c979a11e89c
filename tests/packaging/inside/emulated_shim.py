"""Run the shim where prctl(PR_SET_CHILD_SUBREAPER) is not emulated: emulated_shim.py SHIM.

It is taken as done: orphans of an engine are left to systemd, which ends them with the unit.
"""

import ctypes
import runpy
import sys
from typing import Any

PR_SET_CHILD_SUBREAPER = 36


class Libc(ctypes.CDLL):
    """The C library, but for that call."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name != "prctl":
            return found
        return lambda option, *rest: 0 if option == PR_SET_CHILD_SUBREAPER else found(option, *rest)


if __name__ == "__main__":
    ctypes.CDLL = Libc  # type: ignore[misc]
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
