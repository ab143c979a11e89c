"""Which lines say that a core is gone which had shut down in order: nothing failed there. Pure."""

import re
from collections.abc import Callable, Sequence

from vllmd.engine.log_reading.entries import Entry

_SHUT_DOWN = re.compile(r"^(?:\[shutdown\] )?(?:EngineCore: )?[Ss]hutdown complete")
_GONE = re.compile(
    r"Engine ?[Cc]ore (?:proc (?P<core>EngineCore\w*)\b)?.*(?:died|exited) unexpectedly"
)
"""What a client says of a core that has ended, also of one that it had asked to."""


def gone_in_order(entries: Sequence[Entry]) -> Callable[[str], bool]:
    """Return what tells whether a line is about a core that shut down in order.

    Of several ranks one may be killed, and the others shut down in order because of that: the core
    that a line names must have said so; where it names none, all of them.
    """
    cores: dict[str, int | None] = {}
    said: dict[str, int | None] = {}
    for entry in entries:
        core = entry.process or ""
        if core and not core.startswith("EngineCore"):
            continue
        cores[core] = entry.pid if core else None
        if entry.quiet and _SHUT_DOWN.match(entry.text):
            said[core] = cores[core]
    down = {core for core, pid in said.items() if cores[core] == pid}
    all_down = bool(down) and cores.keys() - {""} <= down
    has_names = any(cores)

    def is_about_one(text: str) -> bool:
        gone = _GONE.search(text) if down else None
        if gone is None:
            return False
        return gone["core"] in down if gone["core"] and has_names else all_down

    return is_about_one
