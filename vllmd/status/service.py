"""What answers for the document: it asks all rooms that know something, each time it is asked."""

import functools
import json
import socket
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from vllmd.engine.doubts import Doubts
from vllmd.engine.status import EngineStatus
from vllmd.gpu.snapshot import GpuFigures
from vllmd.status.conditions import SETTINGS, conditions
from vllmd.status.document import (
    SCHEMA_VERSION,
    EngineParts,
    adapter_counts,
    engine_to_json,
    filesystem_to_json,
    gpu_to_json,
    reader_to_json,
)
from vllmd.status.filesystems import Filesystem
from vllmd.status.network import for_network
from vllmd.status.recorder import SeriesRecorder
from vllmd.util.clock import Clock

MAX_AGE_S = 1.0
"""All who ask within so long get one answer."""


class Logs(Protocol):
    """What is known of the engines' output."""

    def under_way(self, name: str) -> str | None:
        """Return the line that an engine has begun and not ended."""
        ...

    def problem(self, name: str) -> str | None:
        """Return why the disk does not take an engine's log now, if it does not."""
        ...


class PageState(Protocol):
    """What is known of an engine's page."""

    @property
    def version(self) -> str | None:
        """The version of vLLM that answers there."""
        ...

    @property
    def readable(self) -> bool | None:
        """Whether it was read when it was asked for last; None if it was not yet."""
        ...


@attrs.frozen
class StatusSources:
    """Who is asked."""

    about: Callable[[], Mapping[str, Any]]
    """What the daemon says of itself."""
    statuses: Callable[[], Sequence[EngineStatus]]
    pages: Mapping[str, PageState]
    logs: Logs
    gpus: Callable[[], GpuFigures]
    adapters: Callable[[], Iterable[Mapping[str, Any]]]
    doubts: Doubts
    series: SeriesRecorder
    filesystems: Callable[[], Sequence[Filesystem]]
    grafana_url: Callable[[], str | None]


@attrs.frozen
class Answer:
    """The document as the port sends it; the tag changes when anything but its time does."""

    shown: Mapping[str, Any]
    body: bytes
    etag: str


class StatusService:
    """Makes the document; it is kept for a second, so that many who ask cost one."""

    def __init__(
        self,
        sources: StatusSources,
        clock: Clock,
        mask: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """Make it; `mask` takes the secrets out of what is answered."""
        self._sources = sources
        self._mask = mask
        self._clock = clock
        self._kept: dict[bool, tuple[float, Answer]] = {}
        self._kept_local: dict[bool, tuple[float, object, bytes]] = {}

    def document(self, *, series: bool = False) -> dict[str, Any]:
        """Return all that is known now; see `schema.json`."""
        ask, now = self._sources, self._clock.time()
        gpus, counts = ask.gpus(), adapter_counts(ask.adapters())
        made: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "at": now,
            "daemon": {**ask.about(), "host": _host_name()},
            "engines": [
                engine_to_json(self._engine(status, counts), gpus, now) for status in ask.statuses()
            ],
            "gpus": [gpu_to_json(d, gpus.host_memory_floor) for d in gpus.devices],
            "gpu_reader": reader_to_json(gpus),
            "filesystems": [filesystem_to_json(found, SETTINGS) for found in ask.filesystems()],
            "links": {"grafana": ask.grafana_url()},
        }
        made["conditions"] = conditions(made)
        if series:
            made["series"] = ask.series.to_json()
        return made

    def _engine(self, status: EngineStatus, counts: Mapping[str, Mapping[str, Any]]) -> EngineParts:
        ask, name = self._sources, status.name
        page = ask.pages.get(name)
        return EngineParts(
            status,
            ask.series.load(name),
            counts.get(name),
            ask.doubts.of(status),
            ask.logs.under_way(name),
            ask.logs.problem(name),
            page.version if page else None,
            page.readable if page else None,
            ask.series.is_fresh(name),
        )

    def answer(self, *, series: bool = False) -> Answer:
        """Return what the port answers: at most a second old, for whoever asks."""
        now, kept = self._clock.monotonic(), self._kept.get(series)
        if kept is not None and 0 <= now - kept[0] < MAX_AGE_S:
            return kept[1]
        shown = self._mask(for_network(self.document(series=series)))
        body = _written(shown)
        timeless = json.dumps({**shown, "at": 0}, separators=(",", ":")).encode()
        made = Answer(shown, body, f'W/"{zlib.crc32(timeless):08x}{len(timeless):x}"')
        self._kept[series] = now, made
        return made

    def local_answer(self, *, series: bool = False) -> bytes:
        """Return what the control socket answers, as JSON.

        It is at most a second old, and not from before a change of an engine or of the daemon.
        """
        now, state = self._clock.monotonic(), self._state()
        kept = self._kept_local.get(series)
        if kept is not None and 0 <= now - kept[0] < MAX_AGE_S and kept[1] == state:
            return kept[2]
        body = _written(self._mask(self.document(series=series)))
        self._kept_local[series] = now, state, body
        return body

    def forget(self) -> None:
        """Keep no answer: something was changed."""
        self._kept.clear()
        self._kept_local.clear()

    def _state(self) -> object:
        """Return what must not be told older than it is: all but figures that always change."""
        about = self._sources.about()
        return (
            {key: value for key, value in about.items() if key != "late_s"},
            [
                attrs.evolve(status, phases={}, start_left_s=None, no_step_s=None, uptime_s=None)
                for status in self._sources.statuses()
            ],
        )


def _written(shown: Mapping[str, Any]) -> bytes:
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


@functools.cache
def _host_name() -> str:
    return socket.gethostname()
