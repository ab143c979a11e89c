"""A control socket with engines that only remember what they were asked."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from tests.helpers.clock import FakeClock
from tests.helpers.make import gpu_figures, status
from vllmd.control import server
from vllmd.control.answers import Mask
from vllmd.engine.doubts import Doubts
from vllmd.engine.status import EngineStatus
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.gpu.snapshot import GpuFigures
from vllmd.history.reading import EventFilter
from vllmd.http import asgi_server
from vllmd.status.filesystems import Filesystem
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.service import StatusService, StatusSources


class FakeEngine:
    def __init__(self, name: str = "chat", **more: Any) -> None:
        self.status: EngineStatus = status(name, **more)
        self.asked: list[str] = []
        self.error: OSError | None = None
        self.hangs = False

    def _ask(self, action: str) -> None:
        self.asked.append(action)

    async def saved(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error

    def start(self) -> None:
        self._ask("start")

    def stop(self, *, keep_weights: bool = False) -> None:
        self._ask("stop" + " and keep weights" * keep_weights)

    def restart(self) -> None:
        self._ask("restart")

    @property
    def sleeper(self) -> "FakeEngine":
        return self

    def ask_sleep(self, by: str, level: int | None = None) -> None:
        self._ask("sleep" + f" at level {level}" * (level is not None))

    def ask_wake(self, by: str, *, runs: bool = True) -> None:
        self._ask("wake")


class FakeHost:
    """A daemon that has a few events, and reads what a test tells it."""

    def __init__(self) -> None:
        self.found: list[Event] = []
        self.wanted: list[EventFilter] = []
        self.plan: dict[str, Any] = {
            "added": [],
            "removed": [],
            "running": [],
            "applied": {},
            "restart": {},
        }
        self.error: VllmdError | None = None
        self.started_at = 0.0
        self.applied: list[bool] = []
        self.rotated: list[str] = []
        self.printing: dict[str, str] = {}
        self.log_problems: dict[str, str] = {}
        self.failing: list[dict[str, Any]] = []
        self.more: dict[str, Any] = {}

    def about(self) -> dict[str, Any]:
        return {
            "version": "1",
            "pid": 1,
            "started_at": self.started_at,
            "config": None,
            "problem": None,
            "disk_problem": None,
            "history_problem": None,
            "traces_problem": None,
            "late_s": 0.0,
            "failing": self.failing,
            "listen": "127.0.0.1:1",
            "exporter": "http://127.0.0.1:1",
            "web_config": None,
            "web_config_problem": None,
            "run_dir": "/nonexistent",
            "unconfigured": {},
            **self.more,
        }

    def grafana_url(self) -> str | None:
        return None

    def known(self) -> Sequence[Filesystem]:
        return ()

    async def events(self, wanted: EventFilter) -> list[Event]:
        self.wanted.append(wanted)
        if self.error:
            raise self.error
        return [event for event in self.found if event.id > wanted.after_id]

    def under_way(self, name: str) -> str | None:
        return self.printing.get(name)

    def problem(self, name: str) -> str | None:
        return self.log_problems.get(name)

    async def rotate(self, name: str) -> None:
        if self.error:
            raise self.error
        self.rotated.append(name)

    async def reload(self, *, apply: bool) -> dict[str, Any]:
        self.applied.append(apply)
        if self.error:
            raise self.error
        self.started_at += 1
        return self.plan


class FakeGpus:
    """A reader of GPUs that shows what a test tells it."""

    def __init__(self, shown: GpuFigures | None = None) -> None:
        self.shown = shown or gpu_figures()
        self.killed: list[str] = []
        self.released: list[float] = []

    def figures(self) -> GpuFigures:
        return self.shown

    async def fresh(self) -> bool:
        return True

    async def reap(self) -> list[str]:
        return self.killed

    def release(self, seconds: float) -> None:
        self.released.append(seconds)


class FakeTraces:
    """Windows that a test made."""

    def __init__(self, shown: dict[str, Any] | None = None) -> None:
        self.shown = shown or {"window_s": 60, "problem": None, "current": None, "last": None}

    def windows(self) -> dict[str, Any]:
        return self.shown


class FakeCosts:
    """A report that a test made."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.asked: list[tuple[float, float, list[str]]] = []

    async def report(self, since: float, until: float, compare: Sequence[str]) -> dict[str, Any]:
        self.asked.append((since, until, list(compare)))
        return self.shown


class FakeAdvisor:
    """A report that a test made."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.asked: list[tuple[float, float, float]] = []

    async def report(self, since: float, until: float, first_token_s: float) -> dict[str, Any]:
        self.asked.append((since, until, first_token_s))
        return self.shown


class FakeProbes:
    """Answers that a test made."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.asked: list[tuple[str, bool]] = []
        self.error: VllmdError | None = None

    async def ask(self, name: str, record_by: str | None = None) -> dict[str, Any]:
        self.asked.append((name, record_by is not None))
        if self.error:
            raise self.error
        return self.shown


class FakeAdapters:
    """Adapters of one engine that only remember what they were asked; `error` is raised."""

    def __init__(self, *shown: dict[str, Any]) -> None:
        self.shown = list(shown)
        self.asked: list[tuple[str, ...]] = []
        self.error: Exception | None = None

    def to_json(self) -> list[dict[str, Any]]:
        return self.shown

    def reconciler(self, name: str) -> "FakeReconciler":
        if name not in [each["engine"] for each in self.shown]:
            raise UnknownEngineError.among(name, [])
        return FakeReconciler(self, name)


class FakeReconciler:
    def __init__(self, adapters: FakeAdapters, engine: str) -> None:
        self._adapters = adapters
        self._engine = engine

    def _ask(self, *asked: str) -> None:
        if self._adapters.error:
            raise self._adapters.error
        self._adapters.asked.append((self._engine, *asked))

    async def add(self, name: str, path: str) -> None:
        self._ask("add", name, path)

    async def remove(self, name: str) -> None:
        self._ask("remove", name)

    def reload(self, name: str) -> None:
        self._ask("reload", name)

    def to_json(self) -> dict[str, Any]:
        return next(each for each in self._adapters.shown if each["engine"] == self._engine)


class FakePage:
    """A metrics page that was read just now."""

    version: str | None = None
    readable: bool | None = True


class FakeEngines:
    """Engines whose pages were all read just now."""

    def __init__(self, engines: Mapping[str, FakeEngine]) -> None:
        self._engines = engines
        self.sources = {name: FakePage() for name in engines}

    def statuses(self) -> list[EngineStatus]:
        return [engine.status for engine in self._engines.values()]


class FakeStatus(StatusService):
    """The real document, of what a test made."""

    def __init__(
        self,
        host: FakeHost,
        engines: Mapping[str, FakeEngine],
        gpus: FakeGpus,
        adapters: FakeAdapters,
        doubts: Doubts | None,
        mask: Mask,
    ) -> None:
        clock = FakeClock()
        sources = StatusSources(
            daemon=host,
            engines=FakeEngines(engines),
            logs=host,
            gpus=gpus,
            adapters=adapters,
            doubts=doubts or Doubts(),
            series=SeriesRecorder(clock, dict, lambda: asyncio.sleep(0)),
            filesystems=host,
        )
        super().__init__(sources, clock, mask)


def control_app(
    *engines: FakeEngine,
    host: FakeHost | None = None,
    gpus: FakeGpus | None = None,
    traces: FakeTraces | None = None,
    adapters: FakeAdapters | None = None,
    costs: FakeCosts | None = None,
    advisor: FakeAdvisor | None = None,
    probes: FakeProbes | None = None,
    doubts: Doubts | None = None,
    mask: Mask = lambda value: value,
) -> ASGIApp:
    """Return what answers on the control socket."""
    host = host or FakeHost()
    by_name = {e.status.name: e for e in engines}
    parts = server.Controls(
        host,
        host,
        gpus or FakeGpus(),
        traces or FakeTraces(),
        adapters or FakeAdapters(),
        costs or FakeCosts({}),
        advisor or FakeAdvisor({}),
        probes or FakeProbes({}),
        FakeStatus(host, by_name, gpus or FakeGpus(), adapters or FakeAdapters(), doubts, mask),
    )
    return server.build(by_name, parts, mask)


@contextmanager
def control_socket(path: Path, *engines: FakeEngine, **parts: Any) -> Iterator[Path]:
    """Serve in a thread, so that a test can use the blocking client; `parts` as `control_app`."""
    app = control_app(*engines, **parts)
    listener = server.listen(path)
    running = threading.Event()
    loop = asyncio.new_event_loop()
    servers: list[asgi_server.AsgiServer] = []

    async def serve() -> None:
        servers.append(asgi_server.AsgiServer(app, protocol=server.PeerProtocol))
        running.set()
        await servers[0].run_on(listener)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    running.wait()
    try:
        yield path
    finally:
        loop.call_soon_threadsafe(servers[0].close)
        thread.join(10)
        loop.close()
