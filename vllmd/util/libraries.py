"""Libraries of the daemon, without what they bring along for people at a terminal.

httpx has a command line of its own and structlog draws tracebacks, both with rich, which is there
for `vllmd top`. The daemon needs neither: that is 4 MB of memory and 0.03 CPU s of each start.
Source: `httpx/__init__.py` 0.28 and `structlog/dev.py` 26: each goes on where rich is missing.
"""

import importlib
import sys

_USERS = ("httpx", "structlog")
_LEFT_OUT = ("rich", "pygments")


def import_without_rich() -> None:
    """Import them as where there is no rich; nothing is done where one of these is imported."""
    if not sys.modules.keys().isdisjoint((*_USERS, *_LEFT_OUT)):
        return
    hidden: dict[str, None] = dict.fromkeys(_LEFT_OUT)
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None: "not there", says importlib
    try:
        for name in _USERS:
            importlib.import_module(name)
    finally:
        for name in _LEFT_OUT:
            del sys.modules[name]
