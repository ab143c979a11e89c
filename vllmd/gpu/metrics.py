"""The GPUs: what they do, whose their memory is, whether they are well; and how they are read."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.engine.metrics import LABEL
from vllmd.gpu.latest import PEAKS
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.rows import FAMILIES
from vllmd.gpu.snapshot import NOT_READ, DeviceFigures, GpuFigures
from vllmd.gpu.wire import REASONS
from vllmd.util.clock import Clock

GPU = ("gpu", "uuid")
_PEAK_HELP = {
    "memory_used_bytes": "Most memory in bytes that was allocated within gpu.peak_window_s.",
    "power_watts": "Highest power in watts within gpu.peak_window_s.",
}
Figures = Callable[[], GpuFigures]


class GpusCollector:
    """Every row of the table, and what is made of them; on a host without GPUs nothing."""

    name = "gpus"

    def __init__(self, figures: Figures, clock: Clock) -> None:
        self._figures = figures
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield one family after another, each with all GPUs."""
        figures = self._figures()
        if figures.source == "none":
            return
        yield from _reader(figures)
        yield from _identity(figures)
        yield from _rows(figures.devices)
        yield from _memory(figures)
        yield from _xids(figures.devices)


def _rows(devices: Sequence[DeviceFigures]) -> Iterator[Metric]:
    for name, rows in FAMILIES.items():
        labels = (*GPU, *(rows[0].label[:1] if rows[0].label else ()))
        family = _family(name, rows[0].help, labels)
        for each in devices:
            for row in rows:
                if row.key in each.values:
                    more = [row.label[1]] if row.label else []
                    family.add_metric([*_of(each), *more], each.values[row.key])
        if family.samples:
            yield family
    for key in PEAKS:
        base, _, unit = key.rpartition("_")
        family = _family(f"{base}_max_{unit}", _PEAK_HELP[key], GPU)
        for each in devices:
            if key in each.peaks:
                family.add_metric(_of(each), each.peaks[key])
        if family.samples:
            yield family


def _identity(figures: GpuFigures) -> Iterator[Metric]:
    up = _family("up", "Whether the GPU answers.", GPU)
    lost = _family(
        "lost_timestamp_seconds",
        "Since when the GPU does not answer, in seconds since the epoch; only while it is so.",
        GPU,
    )
    info = _family(
        "info",
        "Always 1; the labels say what it is, and of which GPU it is an instance (MIG).",
        (*GPU, "name", "pci_bus_id", "parent", "profile"),
    )
    unified = _family(
        "unified_memory",
        "1 for a GPU whose memory is the host's: its memory figures are MemTotal and MemAvailable.",
        GPU,
    )
    floor = _family(
        "memory_floor_bytes",
        "Of a GPU that shares the host's memory: with less available, an engine is drained.",
        GPU,
    )
    for each in figures.devices:
        device = each.device
        if device.unified:
            unified.add_metric(_of(each), 1)
            total = each.values.get("memory_total_bytes", 0.0)
            floor.add_metric(_of(each), figures.host_memory_floor * total)
        up.add_metric(_of(each), each.lost is None)
        if each.lost_since is not None:
            lost.add_metric(_of(each), each.lost_since)
        about = [device.name, device.pci_bus_id, device.parent or "", each.profile]
        info.add_metric([*_of(each), *about], 1)
    yield from (up, info, *(family for family in (lost, unified, floor) if family.samples))


def _memory(figures: GpuFigures) -> Iterator[Metric]:
    owned = _family(
        "memory_by_owner_bytes",
        "Memory in bytes by whose it is; all owners of a GPU add up to its total.",
        (*GPU, "owner", LABEL),
    )
    processes = _family(
        "processes", "Processes that hold memory, by whose they are.", (*GPU, "owner")
    )
    margin = _family(
        "memory_restart_margin_bytes",
        "What would be free beyond what the engine needs if it started again, by vLLM's own rule, "
        "in bytes; below 0 it would not start.",
        (*GPU, LABEL),
    )
    budget = _family(
        "memory_budget_bytes",
        "What the engine takes of the GPU by its gpu_memory_utilization, in bytes.",
        (*GPU, LABEL),
    )
    for each in figures.devices:
        for (owner, engine), size in each.owners.items():
            owned.add_metric([*_of(each), str(owner), engine or ""], size)
        if each.owners:
            for owner in (Owner.ENGINE, Owner.WEIGHTS, Owner.ORPHAN, Owner.FOREIGN):
                processes.add_metric([*_of(each), str(owner)], _count(each.holders, owner))
        for name, left in each.margins.items():
            margin.add_metric([*_of(each), name], left)
        for name, planned in each.budgets.items():
            budget.add_metric([*_of(each), name], planned)
    growth = GaugeMetricFamily(
        "vllmd_engine_gpu_memory_growth_bytes",
        "What the engine holds on all GPUs beyond its largest batch so far, in bytes.",
        labels=[LABEL],
    )
    for engine, size in figures.growth.items():
        growth.add_metric([engine], size)
    yield from (owned, processes, margin, budget, growth)


def _xids(devices: Sequence[DeviceFigures]) -> Iterator[Metric]:
    labels = (*GPU, "xid", "action")
    counts = _family(
        "xid_errors_total", "Xids of the driver since the boot, and what each asks for.", labels
    )
    last = _family(
        "xid_last_timestamp_seconds", "When the Xid came last, in seconds since the epoch.", labels
    )
    for each in devices:
        for seen in each.xids:
            about = [*_of(each), str(seen.xid.code), str(seen.xid.action)]
            counts.add_metric(about, seen.count)
            last.add_metric(about, seen.last_at)
    yield from (counts, last)


def _reader(figures: GpuFigures) -> Iterator[Metric]:
    if figures.source == "demo":
        yield _single("vllmd_gpu_demo", "1: these GPUs do not exist, they are a demonstration.", 1)
    else:
        late = any(each.lost == NOT_READ for each in figures.devices)
        yield _single(
            "vllmd_nvml_up",
            "Whether NVML answers, and what was read is not old.",
            figures.problem is None and not late,
        )
        problem = GaugeMetricFamily(
            "vllmd_nvml_problem", "1 for the reason why NVML does not answer.", labels=["reason"]
        )
        for reason in REASONS:
            known = figures.problem is not None and figures.problem.reason == reason
            problem.add_metric([reason], known)
        yield problem
        yield _single(
            "vllmd_nvml_driver_mismatch",
            "1 if the driver that the kernel runs and the library on the disk differ: what runs "
            "goes on, what starts anew cannot use the GPU.",
            figures.mismatch is not None,
        )
        driver = GaugeMetricFamily(
            "vllmd_gpu_driver_info",
            "Always 1; the driver's versions.",
            labels=["kernel", "library"],
        )
        driver.add_metric([figures.driver, figures.library], 1)
        yield driver
        if figures.kernel_log is not None:
            yield _single(
                "vllmd_gpu_kernel_log_readable",
                "Whether the kernel's log is followed for Xids.",
                figures.kernel_log,
            )
    yield from _reader_costs(figures)


def _reader_costs(figures: GpuFigures) -> Iterator[Metric]:
    if figures.success_at is not None:
        yield _single(
            "vllmd_nvml_last_success_timestamp_seconds",
            "When the GPUs were read last, in seconds since the epoch.",
            figures.success_at,
        )
    took = GaugeMetricFamily(
        "vllmd_nvml_read_duration_seconds",
        "How long the last reading of a set took, in seconds.",
        labels=["set"],
    )
    for name, seconds in sorted(figures.took_s.items()):
        took.add_metric([name], seconds)
    errors = CounterMetricFamily(
        "vllmd_nvml_errors_total", "Calls of NVML that failed, by its number.", labels=["code"]
    )
    for code, count in sorted(figures.errors.items()):
        errors.add_metric([code], count)
    starts = CounterMetricFamily(
        "vllmd_nvml_reader_starts_total", "Starts of the process that reads.", figures.starts
    )
    cpu = CounterMetricFamily(
        "vllmd_nvml_reader_cpu_seconds_total",
        "CPU time of the process that reads, in seconds.",
        figures.cpu_s,
    )
    disabled = GaugeMetricFamily(
        "vllmd_nvml_row_disabled",
        "1 for each figure that is not read of a GPU any more: asking NVML for it ended or hung "
        "the reader twice, or leaving it out ended that. Without a GPU it is of all.",
        labels=[*GPU, "row", "reason"],
    )
    labels = {each.device.uuid: each.device.label for each in figures.devices}
    for row in figures.disabled:
        disabled.add_metric([labels.get(row.uuid, ""), row.uuid, row.row, row.reason], 1)
    yield from (took, errors, starts, cpu, disabled)
    yield _single(
        "vllmd_nvml_reader_resident_bytes",
        "Resident memory of the process that reads, in bytes.",
        figures.rss_bytes,
    )
    yield _single(
        "vllmd_nvml_readers_stuck", "Readers that hang in the driver and do not die.", figures.stuck
    )


def _family(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(f"vllmd_gpu_{name}", text, labels=list(labels))


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, float(value))


def _of(each: DeviceFigures) -> list[str]:
    return [each.device.label, each.device.uuid]


def _count(holders: Sequence[Holder], owner: Owner) -> int:
    return sum(holder.owner is owner for holder in holders)
