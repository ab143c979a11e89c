"""The newest events that a person looks for on a graph, each with its time.

A graph of a week asks for a value every few minutes: of events that came in between, a single time
would show the last only. So the last `KEPT` of each engine are kept, each in a place of its own.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent
from vllmd.events.daemon import ConfigRefused, ConfigReloaded, DaemonRecovered, DaemonStarted
from vllmd.events.engine import (
    EngineExited,
    EngineHeld,
    EngineSpawned,
    EngineStalled,
    EngineStateChanged,
)
from vllmd.events.gpu import GpuFound, GpuLost, GpuXidSeen
from vllmd.events.lora import LoraFailed, LoraLoaded, LoraUnloaded
from vllmd.events.reading_back import by_name, read_back
from vllmd.events.weights import WeightsEnded, WeightsRankLost, WeightsReady, WeightsUnresponsive
from vllmd.history.reading import EventFilter
from vllmd.history.writer import HistoryWriter

KEPT = 16
"""Of each engine, and of the host. Source: a restart loop of 20 s for the 400 s between two points
of a week; vllmd holds an engine after fewer failures."""
PAST = 200
"""So many events of earlier daemons are looked at."""


@attrs.frozen
class Mark:
    """One event: when it was (seconds since the epoch), of which engine, and what is said of it."""

    at: float
    event: str
    engine: str = ""
    detail: str = ""


def _exited(event: EngineExited) -> tuple[str, str]:
    return ("stopped", "") if event.requested else ("failed", event.cause or event.code)


def _state_changed(event: EngineStateChanged) -> tuple[str, str]:
    if event.state == "sleeping":
        return "asleep", ""
    return "ready" if event.state == "ready" else "", ""


def _weights_ended(event: WeightsEnded) -> tuple[str, str]:
    return ("", "") if event.requested else ("weights_lost", event.cause or event.code)


def _xid(event: GpuXidSeen) -> tuple[str, str]:
    return "xid", str(event.xid) + ("" if event.gpu is None else f" on GPU {event.gpu}")


_WORDS: Mapping[type[TypedEvent], Callable[[Any], tuple[str, str]]] = {
    EngineExited: _exited,
    EngineStateChanged: _state_changed,
    EngineSpawned: lambda _: ("started", ""),
    EngineStalled: lambda _: ("stalled", ""),
    EngineHeld: lambda event: ("held", event.cause),
    WeightsReady: lambda _: ("weights_ready", ""),
    WeightsEnded: _weights_ended,
    WeightsRankLost: lambda event: ("weights_lost", f"{event.left} of {event.ranks} left"),
    WeightsUnresponsive: lambda _: ("weights_lost", "unresponsive"),
    GpuXidSeen: _xid,
    GpuLost: lambda event: ("gpu_lost", event.gpu),
    GpuFound: lambda event: ("gpu_found", event.gpu),
    LoraLoaded: lambda event: ("adapter_loaded", event.adapter),
    LoraUnloaded: lambda event: ("adapter_unloaded", event.adapter),
    LoraFailed: lambda event: ("adapter_failed", event.adapter or ""),
    ConfigReloaded: lambda _: ("config_reloaded", ""),
    ConfigRefused: lambda _: ("config_refused", ""),
    DaemonStarted: lambda event: ("daemon_started", event.version),
    DaemonRecovered: lambda _: ("daemon_failed", ""),
}
_KINDS = by_name(*_WORDS)


def mark_of(event: Event) -> Mark | None:
    """Return the mark of an event; None for one that is not marked."""
    found = read_back(_KINDS, event)
    if found is None:
        return None
    word, detail = _WORDS[type(found)](found)
    return Mark(event.at, word, event.engine or "", detail) if word else None


class RecentMarks:
    """The last marks of each engine, and of the host."""

    def __init__(self) -> None:
        self._marks: dict[str, list[Mark]] = {}
        self._gone: dict[str, int] = {}
        """How many of them were dropped, by engine."""

    def put(self, event: Event) -> None:
        """Listen to the events of the daemon."""
        self.add([event])

    async def remember(self, history: HistoryWriter) -> None:
        """Take in what earlier daemons saw: an event right before an upgrade is not lost."""
        with contextlib.suppress(VllmdError):  # the history tells its own troubles
            self.add(await history.read_aside(EventFilter(names=tuple(_KINDS), limit=PAST)))

    def add(self, events: Iterable[Event]) -> None:
        """Take events in, of which some may be known: those of the daemons before."""
        for mark in filter(None, map(mark_of, events)):
            known = self._marks.setdefault(mark.engine, [])
            if mark not in known:
                known.append(mark)
        for engine, known in self._marks.items():
            known.sort(key=lambda mark: mark.at)
            self._gone[engine] = self._gone.get(engine, 0) + max(0, len(known) - KEPT)
            del known[:-KEPT]

    def placed(self) -> Iterator[tuple[int, Mark]]:
        """Yield each mark with its place, 0 to `KEPT` - 1, which it keeps until it is dropped."""
        for engine, known in sorted(self._marks.items()):
            for number, mark in zip(itertools.count(self._gone[engine]), known, strict=False):
                yield number % KEPT, mark
