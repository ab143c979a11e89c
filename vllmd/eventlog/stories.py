"""The stories of all engines, for who does not ask for one of them."""

from collections.abc import Sequence

from vllmd.eventlog.bus import Event
from vllmd.eventlog.narrative import Story, engines_in, tell


def tell_all(told: Sequence[Event], now: float) -> list[Story]:
    """Tell the last failure of each engine that events are about, as they came."""
    return [tell(engine, told, now) for engine in engines_in(told)]
