"""A page with every family that there is: what each collector yields of a host with everything."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
from prometheus_client.metrics_core import Metric

from vllmd.collectors.runner import CollectorRunner
from vllmd.config.fleet import FleetConfig
from vllmd.config.metrics import ConfigCollector
from vllmd.cost.metrics import CostCollector
from vllmd.cost.prices import Prices
from vllmd.cost.snapshot import CostFigures
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.daemon.metrics.filesystems import FilesystemsCollector
from vllmd.daemon.metrics.parts import PartsCollector
from vllmd.daemon.metrics.process import OwnProcessCollector
from vllmd.engine.metrics import DoubtsCollector, EnginesCollector, UsageCollector
from vllmd.engine.output.metrics import LogsCollector
from vllmd.gpu.latest import PEAKS, Device
from vllmd.gpu.metrics import GpusCollector
from vllmd.gpu.rows import ROWS
from vllmd.gpu.snapshot import DeviceFigures, GpuFigures
from vllmd.history.marks import RecentMarks
from vllmd.history.metrics import HistoryCollector, MarksCollector
from vllmd.history.store import Store
from vllmd.history.writer import HistoryWriter
from vllmd.http.connections import ConnectionTotals
from vllmd.http.metrics import ConnectionsCollector
from vllmd.lora.metrics import AdaptersCollector
from vllmd.notify.metrics import NotificationsCollector
from vllmd.probe.metrics import ProbesCollector
from vllmd.probe.status import AnswersVerdict, ProbeStatus
from vllmd.scrape.derived import MISSING, derive
from vllmd.scrape.families import parse_page
from vllmd.scrape.metrics import PagesCollector
from vllmd.scrape.peak import Peaks
from vllmd.traces.intake import IntakeState
from vllmd.traces.metrics import TracesCollector
from vllmd.traces.snapshot import TraceFigures
from vllmd.util.clock import SystemClock

RECORDED = Path(__file__).parents[2] / "tests/data/metrics/vllm-0.32-cpu.prom"
"""What a vLLM answered."""


@attrs.frozen
class FamilyFacts:
    """One family of the page."""

    name: str
    """As queries have it, with `_total`."""
    type: str
    help: str
    labels: tuple[str, ...]


def families() -> dict[str, list[FamilyFacts]]:
    """Return every family by the name of its collector; those made of vLLM's page by `vllm`."""
    made = {each.name: [_facts(m) for m in each.collect()] for each in _collectors()}
    runner = CollectorRunner([], SystemClock())
    made["collectors"] = [_facts(metric) for metric in runner.collect()]
    made["gpus"].append(_facts(next(GpusCollector(_demonstration, SystemClock()).collect())))
    made["process"] = [each for each in made["process"] if each.name.startswith("vllmd_")]
    return {"vllm": list(_derived()), **made}


def _collectors() -> Iterator[Any]:
    """Yield those of the daemon, each with what makes it yield everything."""
    clock = SystemClock()
    nothing: Any = SimpleNamespace(problem=None, known=list, silent_since=dict, failures=dict)
    outbox: Any = SimpleNamespace(
        wanted=True, outcomes={}, waiting=(), notices=SimpleNamespace(suppressed=0)
    )
    late: Any = SimpleNamespace(late_s=lambda: 0.0)
    prices = Prices(Decimal(1), Decimal(1), Decimal(1), "EUR")
    spans = TraceFigures(IntakeState(), {}, {}, forward_up=True)
    yield EnginesCollector(list, clock)
    yield DoubtsCollector(list, nothing)
    yield UsageCollector(list, clock)
    yield PagesCollector([])
    yield GpusCollector(_gpus, clock)
    yield TracesCollector(lambda: spans)
    yield ProbesCollector(lambda: {"chat": ProbeStatus(AnswersVerdict.UNKNOWN, "alert")})
    yield AdaptersCollector(lambda: {"chat": ()})
    yield CostCollector(lambda: CostFigures(prices, 1.0, {}, {}, {}))
    yield LogsCollector(list, lambda: {"journal": {"chat": 1}, "stdout": {"chat": 1}})
    yield HistoryCollector(HistoryWriter(Store(Path())))
    yield MarksCollector(RecentMarks())
    yield NotificationsCollector(outbox)
    fleet = FleetConfig(name="prod")
    yield ConfigCollector(lambda: (True, 0.0), lambda: (True, 0.0), dict, lambda: fleet)
    yield ConnectionsCollector(ConnectionTotals())
    yield FilesystemsCollector(nothing, clock)
    yield PartsCollector(nothing, lambda: 0)
    yield OwnProcessCollector(late)
    yield BuildCollector()


def _gpus() -> GpuFigures:
    """Return one GPU of which everything is known, and whose memory is the host's."""
    device = DeviceFigures(
        device=Device("GPU-1", 0, "a GPU", "00000000:00:06.0", unified=True),
        lost=None,
        values={row.key: 0.0 for row in ROWS},
        peaks=dict.fromkeys(PEAKS, 0.0),
        owners={},
        holders=(),
        margins={},
        xids=(),
    )
    return _figures("nvml", device)


def _demonstration() -> GpuFigures:
    return _figures("demo")


def _figures(source: str, *devices: DeviceFigures) -> GpuFigures:
    return GpuFigures(
        source=source,
        problem=None,
        driver="",
        library="",
        mismatch=None,
        devices=devices,
        growth={},
        errors={},
        cpu_s=0.0,
        rss_bytes=0,
        took_s={},
        success_at=0.0,
        starts=0,
        stuck=0,
        disabled=(),
        host_memory_floor=0.0,
        kernel_log=True,
    )


def _facts(metric: Metric) -> FamilyFacts:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = tuple(getattr(metric, "_labelnames", ()))
    return FamilyFacts(name, metric.type, metric.documentation, labels)


def _derived() -> Iterator[FamilyFacts]:
    """Yield what is made of a page that a vLLM answered, and of one that lacks everything."""
    page = parse_page(RECORDED.read_bytes(), "chat")
    found = list(derive(page.families, page.lora or b"", "chat", ["sql"]))
    found += [family for family in derive([], None, "chat", []) if family.name == MISSING]
    peaks = Peaks()
    peaks.note(page.families)
    found.append(peaks.family())
    for family in found:
        of_samples = (labels_of(sample) for sample in family.samples)
        labels = dict.fromkeys(name for names in of_samples for name in names if name != "le")
        yield FamilyFacts(
            family.name.decode(), family.type.decode(), family.help.decode(), tuple(labels)
        )


def labels_of(sample: bytes) -> list[str]:
    """Return the names of a sample's labels; no value here has a quote in it."""
    return re.findall(r'(?<=[{,])(\w+)="', sample.decode())
