"""What answers for the document: it asks all rooms that know something, each time it is asked."""

import contextlib
import functools
import json
import socket
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from vllmd.engine.doubts import Doubts
from vllmd.engine.status import EngineStatus
from vllmd.gpu.snapshot import GpuFigures
from vllmd.pulling.share import Share
from vllmd.status.conditions import conditions, not_told
from vllmd.status.document import (
    SCHEMA_VERSION,
    EngineParts,
    adapter_counts,
    engine_to_json,
    filesystem_to_json,
    gpu_to_json,
    reader_to_json,
)
from vllmd.status.engine_conditions import SETTINGS
from vllmd.status.filesystems import Filesystem
from vllmd.status.network import for_network
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.window import LoadNow
from vllmd.util.clock import Clock

T = TypeVar("T")
NO_GPUS = GpuFigures(
    source="none",
    problem=None,
    driver="",
    library="",
    mismatch=None,
    devices=(),
    growth={},
    errors={},
    cpu_s=0.0,
    rss_bytes=0,
    took_s={},
    success_at=None,
    starts=0,
    stuck=0,
    disabled=(),
    host_memory_floor=0.0,
    kernel_log=None,
)
"""In place of those that cannot be told."""
MAX_AGE_S = 1.0
"""All who ask within so long get one answer."""


def _nothing_is_isolated(_name: str) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext()


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


class AboutDaemon(Protocol):
    """What the daemon knows of itself."""

    def about(self) -> Mapping[str, Any]:
        """Return what the document has as `daemon`."""
        ...

    def grafana_url(self) -> str | None:
        """Return where Grafana is, if that is configured."""
        ...


class KnownEngines(Protocol):
    """What is known of the engines."""

    def statuses(self) -> Sequence[EngineStatus]:
        """Return the status of each."""
        ...

    @property
    def sources(self) -> Mapping[str, PageState]:
        """Their pages, by engine; an engine that was never looked at has none."""
        ...


class Gpus(Protocol):
    """What is known of the GPUs."""

    def figures(self) -> GpuFigures:
        """Return all that is known now."""
        ...


class Adapters(Protocol):
    """What is known of LoRA adapters."""

    def to_json(self) -> Sequence[Mapping[str, Any]]:
        """Return those of each engine, as `vllmd lora list` shows them."""
        ...


class KnownFilesystems(Protocol):
    """What is known of the file systems that vllmd writes to."""

    def known(self) -> Sequence[Filesystem]:
        """Return those that are there; waits for nothing."""
        ...


@attrs.frozen
class StatusSources:
    """Who is asked."""

    daemon: AboutDaemon
    engines: KnownEngines
    logs: Logs
    gpus: Gpus
    adapters: Adapters
    doubts: Doubts
    series: SeriesRecorder
    filesystems: KnownFilesystems
    downloads: Callable[[], Mapping[str, Share]] = dict
    """How much of its model each engine has that downloads it."""
    probe: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    """How the answers of an engine stand; None if they are not looked at."""


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
        isolated: Callable[[str], contextlib.AbstractContextManager[Any]] = _nothing_is_isolated,
    ) -> None:
        """Make it; `mask` takes the secrets out of what is answered.

        `isolated` counts and tells what a room raises: the rest of the document is told.
        """
        self._isolated = isolated
        self._missing: dict[str, None] = {}
        self._sources = sources
        self._mask = mask
        self._clock = clock
        self._kept: dict[bool, tuple[float, Answer]] = {}
        self._kept_local: dict[bool, tuple[float, object, bytes]] = {}

    def document(self, *, series: bool = False) -> dict[str, Any]:
        """Return all that is known now; see `schema.json`."""
        ask, now = self._sources, self._clock.time()
        self._missing = {}
        gpus = self._room("gpus", ask.gpus.figures, NO_GPUS)
        counts = self._room("adapters", lambda: adapter_counts(ask.adapters.to_json()), {})
        made: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "at": now,
            "daemon": {**ask.daemon.about(), "host": _host_name()},
            "engines": [
                engine_to_json(self._engine(status, counts), gpus, now)
                for status in ask.engines.statuses()
            ],
            "gpus": self._room(
                "gpus", lambda: [gpu_to_json(d, gpus.host_memory_floor) for d in gpus.devices], []
            ),
            "gpu_reader": reader_to_json(gpus),
            "filesystems": self._room(
                "filesystems",
                lambda: [filesystem_to_json(found, SETTINGS) for found in ask.filesystems.known()],
                [],
            ),
            "links": {"grafana": ask.daemon.grafana_url()},
        }
        if series:
            made["series"] = self._room("series", ask.series.to_json, {"engines": {}, "gpus": {}})
        found = self._room("conditions", lambda: conditions(made), [])
        made["conditions"] = [*map(not_told, self._missing), *found]
        return made

    def _room(self, name: str, ask: Callable[[], T], otherwise: Any) -> T:
        """Return what a room says; `otherwise` if it raises, which is told and counted."""
        with self._isolated(f"status.{name}"):
            return ask()
        self._missing[name] = None
        instead: T = otherwise
        return instead

    def _engine(self, status: EngineStatus, counts: Mapping[str, Mapping[str, Any]]) -> EngineParts:
        ask, name = self._sources, status.name
        page = ask.engines.sources.get(name)
        load, fresh = self._room(
            "series", lambda: (ask.series.load(name), ask.series.is_fresh(name)), (LoadNow(), True)
        )
        return EngineParts(
            status,
            load,
            counts.get(name),
            ask.doubts.of(status),
            ask.logs.under_way(name),
            ask.logs.problem(name),
            page.version if page else None,
            page.readable if page else None,
            fresh,
            self._room("probes", lambda: ask.probe(name), None),
            ask.downloads().get(name),
        )

    def answer(self, *, series: bool = False) -> Answer:
        """Return what the port answers: at most a second old, for whoever asks."""
        now, kept = self._clock.monotonic(), self._kept.get(series)
        if kept is not None and 0 <= now - kept[0] < MAX_AGE_S:
            return kept[1]
        shown = self._masked(for_network(self.document(series=series)))
        body = _written(shown)
        made = Answer(shown, body, _tag(shown))
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
        body = _written(self._masked(self.document(series=series)))
        self._kept_local[series] = now, state, body
        return body

    def _masked(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document without secrets; series are thousands of figures, and not looked at."""
        rest = {key: value for key, value in document.items() if key != "series"}
        masked: dict[str, Any] = self._mask(rest)
        if "series" not in document:
            return masked
        named = {
            kind: {self._mask(name): figures for name, figures in by_name.items()}
            for kind, by_name in document["series"].items()
        }
        return {**masked, "series": named}

    def forget(self) -> None:
        """Keep no answer: something was changed."""
        self._kept.clear()
        self._kept_local.clear()

    def _state(self) -> object:
        """Return what must not be told older than it is: all but figures that always change."""
        about = self._sources.daemon.about()
        return (
            {key: value for key, value in about.items() if key != "late_s"},
            [
                attrs.evolve(
                    status,
                    phases={},
                    start_left_s=None,
                    no_step_s=None,
                    rank_doubt=status.rank_doubt and "",
                    uptime_s=None,
                )
                for status in self._sources.engines.statuses()
            ],
        )


def _tag(shown: Mapping[str, Any]) -> str:
    """Return a tag that stays while nothing changes but when it was looked at, and how late."""
    timeless = {
        **shown,
        "at": 0,
        "daemon": {**shown["daemon"], "late_s": 0},
        "filesystems": [{**each, "read_at": 0} for each in shown["filesystems"]],
    }
    text = json.dumps(timeless, separators=(",", ":")).encode()
    return f'W/"{zlib.crc32(text):08x}{len(text):x}"'


def _written(shown: Mapping[str, Any]) -> bytes:
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


@functools.cache
def _host_name() -> str:
    return socket.gethostname()
