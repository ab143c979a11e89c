"""A host of a scene: its engines and GPUs, and the page that its vllmd would show."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import attrs
from prometheus_client.utils import floatToGoString

from tests.helpers.clock import FakeClock
from tests.helpers.fleet.engine import SceneEngine
from tests.helpers.fleet.gpus import SceneGpu, figures
from vllmd.collectors.base import Collector
from vllmd.collectors.runner import CollectorRunner
from vllmd.config.metrics import ConfigCollector
from vllmd.cost.metrics import CostCollector
from vllmd.cost.prices import Amount, Prices
from vllmd.cost.snapshot import CostFigures
from vllmd.cost.usage import SECOND_NS, Activity, Usage
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.daemon.metrics.filesystems import FilesystemsCollector
from vllmd.daemon.metrics.parts import PartsCollector
from vllmd.engine.metrics import EnginesCollector, UsageCollector
from vllmd.engine.output.metrics import LogsCollector
from vllmd.engine.usage import ResourceUsage
from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent, to_fields
from vllmd.events.daemon import DaemonStarted
from vllmd.events.gpu import GpuXidSeen
from vllmd.gpu.metrics import GpusCollector
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.snapshot import SeenXid
from vllmd.history.marks import RecentMarks
from vllmd.history.metrics import HistoryCollector, MarksCollector
from vllmd.http.connections import ConnectionTotals
from vllmd.http.metrics import ConnectionsCollector
from vllmd.lora.adapter_status import AdapterCondition, AdapterStatus
from vllmd.lora.metrics import AdaptersCollector
from vllmd.scrape.metrics import PagesCollector
from vllmd.status.filesystems import Filesystem
from vllmd.traces.intake import IntakeState
from vllmd.traces.metrics import TracesCollector
from vllmd.traces.snapshot import TraceFigures
from vllmd.util.units import GIB

PRICES = Prices(Decimal("2.5"), Decimal("0.3"), Decimal(1), "USD")
BUDGET = 5.0
VERSION = "0.2.0"
_LABELS = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")


class SceneHost:
    """One host. `answers` is whether it can be scraped; what is set here, its vllmd would see."""

    def __init__(
        self, name: str, engines: Sequence[SceneEngine] = (), gpus: Sequence[SceneGpu] = ()
    ) -> None:
        self.name, self.engines, self.gpus = name, tuple(engines), tuple(gpus)
        self.answers = True
        self.read_at: float | None = None
        """When NVML was read last, where it does not answer as a whole; seconds since the epoch."""
        self.disk_avail_bytes = 600 * GIB
        self.adapter_failed: set[str] = set()
        self.config_good = True
        self._clock = FakeClock(0.0)
        self._began = self._clock.epoch = 0.0
        self._marks = RecentMarks()
        self._intake = IntakeState()
        self._used: dict[tuple[str, Activity], Usage] = {}
        for engine in self.engines:
            engine.tell = self._tell
        self._runner = CollectorRunner(list(self._collectors()), self._clock)

    # --- time, and what happens --------------------------------------------------------------

    def begin(self, at: float) -> None:
        """Be there from a time on: what serves has served for hours."""
        self._clock.epoch = self._began = at
        started = DaemonStarted(
            version=VERSION, pid=812, config=None, engines=(), exporter="", control=""
        )
        self.mark(started, at - 86400)

    def pass_time(self, now: float, seconds: float) -> None:
        """Live until a time."""
        self._clock.epoch = now
        for engine in self.engines:
            known = frozenset((engine.name, *engine.adapters))
            for span in engine.pass_time(now, seconds):
                self._intake.aggregate.add(engine.name, span, known)
                self._intake.counts.requests["grpc", "ok"] += 1
            self._count(engine, seconds)
        for gpu in self.gpus:
            works = any(e.computes for e in self.engines if gpu.index in e.gpus)
            gpu.pass_time(seconds, works=works and gpu.lost_since is None)

    def mark(self, event: TypedEvent, at: float, engine: str | None = None) -> None:
        """Let an event be told."""
        fields = to_fields(event)
        self._marks.put(Event(at, event.name, event.level, engine, fields))

    def starts_anew(self, at: float) -> None:
        """Let another daemon begin: what the one before counted begins at nothing."""
        self.answers = True
        self._used.clear()
        self._intake = IntakeState()
        for engine in self.engines:
            engine.counted_anew()
        started = DaemonStarted(
            version=VERSION, pid=813, config=None, engines=(), exporter="", control=""
        )
        self.mark(started, at)

    def _tell(self, event: TypedEvent, engine: str, at: float) -> None:
        self.mark(event, at, engine)

    def sees_xid(self, gpu: SceneGpu, code: int, at: float) -> None:
        """Let a GPU report an Xid."""
        times = sum(seen.count for seen in gpu.xids if seen.xid.code == code)
        seen = SeenXid.of(code, times + 1, at)
        gpu.xids[:] = [*(other for other in gpu.xids if other.xid.code != code), seen]
        told = GpuXidSeen(
            gpu=str(gpu.index),
            uuid=gpu.uuid,
            xid=code,
            text=seen.xid.text,
            action=str(seen.xid.action),
        )
        self.mark(told, at)

    def _count(self, engine: SceneEngine, seconds: float) -> None:
        busy = Activity.BUSY if engine.computes else Activity.IDLE
        key = engine.name, busy if engine.serves else Activity.DOWN
        before, count = self._used.get(key, Usage()), len(engine.gpus)
        power_w = sum(gpu.power_w for gpu in self.gpus if gpu.index in engine.gpus)
        self._used[key] = attrs.evolve(
            before,
            duration_ns=before.duration_ns + int(seconds * SECOND_NS),
            gpu_ns=before.gpu_ns + int(seconds * SECOND_NS) * count,
            energy_mj=before.energy_mj + int(seconds * power_w * 1000),
        )

    # --- the page ----------------------------------------------------------------------------

    def samples(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield the page's samples: name, labels as they are written, value."""
        for metric in self._runner.collect():
            for sample in metric.samples:
                inner = ",".join(f'{k}="{_escaped(v)}"' for k, v in sample.labels.items())
                value = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
                yield sample.name.encode(), inner.encode(), value.encode()
        for name, value in self._process():
            yield name.encode(), b"", repr(value).encode()
        for engine in self.engines:
            for line in engine.samples():
                match = _LABELS.fullmatch(line)
                assert match is not None, line
                yield match[1], match[2] or b"", match[3]

    def _process(self) -> Iterator[tuple[str, float]]:
        age_s = 86400 + self._clock.time() - self._began
        yield "process_cpu_seconds_total", 0.004 * age_s
        yield "process_resident_memory_bytes", 61e6
        yield "process_open_fds", 34.0
        yield "process_start_time_seconds", self._began - 86400
        yield "vllmd_event_loop_lag_seconds", 0.004

    def _statuses(self) -> list[Any]:
        return [engine.status(self._clock.time()) for engine in self.engines]

    def _collectors(self) -> Iterator[Collector]:
        """Yield those of the daemon; `/proc`, disks and sockets are made up."""
        clock: Any = self._clock
        usage = UsageCollector(self._statuses, clock)
        usage._trees = {each.name: _Tree(each) for each in self.engines}  # type: ignore[misc]
        history: Any = SimpleNamespace(problem=None, written=120, dropped=0, bytes=300_000)
        parts: Any = SimpleNamespace(failures=lambda: {"filesystems": 0, "adapters": 0})
        disks: Any = SimpleNamespace(known=self._disks, silent_since=lambda: {"state": None})
        yield BuildCollector()
        yield ConfigCollector(lambda: (self.config_good, self._began))
        yield ConnectionsCollector(ConnectionTotals())
        yield HistoryCollector(history)
        yield MarksCollector(self._marks)
        yield FilesystemsCollector(disks, clock)
        yield GpusCollector(self._figures, clock)
        now = clock.time
        yield LogsCollector(lambda: [each.output(now()) for each in self.engines], dict)
        yield EnginesCollector(self._statuses, clock)
        yield usage
        yield AdaptersCollector(self._adapters)
        yield CostCollector(self._costs)
        yield PagesCollector([_Page(each) for each in self.engines])  # type: ignore[misc]
        yield TracesCollector(self._traces)
        yield PartsCollector(parts, lambda: 0)

    def _figures(self) -> Any:
        found = figures(self.gpus, self.engines, self._clock.time())
        if self.read_at is not None:
            unread = [
                attrs.evolve(gpu, lost="not_read", values={}, peaks={}, owners={}, margins={})
                for gpu in found.devices
            ]
            problem = ReaderProblem("hung", "the reader said nothing for 10 s")
            found = attrs.evolve(
                found, devices=tuple(unread), problem=problem, success_at=self.read_at
            )
        return found if self.gpus else attrs.evolve(found, source="none")

    def _disks(self) -> list[Filesystem]:
        size = 900 * GIB
        return [
            Filesystem("state", "/var/lib/vllmd", size, self.disk_avail_bytes),
            Filesystem("logs", "/var/log/vllmd", size, self.disk_avail_bytes),
        ]

    def _adapters(self) -> dict[str, list[AdapterStatus]]:
        return {
            engine.name: [self._adapter(engine, name) for name in engine.adapters]
            for engine in self.engines
            if engine.adapters
        }

    def _adapter(self, engine: SceneEngine, name: str) -> AdapterStatus:
        failed = name in self.adapter_failed
        there = AdapterCondition.LOADED if engine.serves else AdapterCondition.PENDING
        condition = AdapterCondition.FAILED if failed else there
        return AdapterStatus(
            name, f"/srv/lora/{name}", condition, "config", errors=3 if failed else 0
        )

    def _costs(self) -> CostFigures:
        hourly = {
            engine.name: Amount(gpu=PRICES.gpu_hour * len(engine.gpus), energy=Decimal("0.14"))
            for engine in self.engines
        }
        priced = hourly if self.gpus else {}
        return CostFigures(PRICES, BUDGET, priced, self._used, {})

    def _traces(self) -> TraceFigures:
        coverage = {engine.name: 1.0 for engine in self.engines if engine.computes}
        return TraceFigures(self._intake, {"grpc": True, "http": True}, coverage, None)


class _Tree:
    """In the place of a tree of processes."""

    def __init__(self, engine: SceneEngine) -> None:
        self._engine = engine

    def read(self, _run_id: str, _shim_pid: int, _listing: object) -> ResourceUsage:
        """Return what it uses."""
        return ResourceUsage(self._engine.cpu_s, self._engine.resident_bytes, 3)


class _Page:
    """In the place of what reads an engine's page."""

    def __init__(self, engine: SceneEngine) -> None:
        self.engine, self._engine, self.failures = engine.name, engine, 0

    @property
    def up(self) -> bool:
        """Whether it is read."""
        return self._engine.serves

    @property
    def last(self) -> Any:
        """The last page."""
        page = SimpleNamespace(duration_s=0.011, size_bytes=61_000, rejected_lines=0)
        return page if self.up else None

    @property
    def version(self) -> str | None:
        """The vLLM that answers."""
        return "0.32.0" if self.up else None

    def age_s(self) -> float:
        """How old it is."""
        return 1.2


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
