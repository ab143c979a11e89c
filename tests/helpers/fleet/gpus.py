"""The GPUs of a scene: H200s whose memory is held by engines, and by whoever a scene adds."""

from collections.abc import Iterator, Sequence

import attrs

from tests.helpers.fleet.engine import SceneEngine
from tests.helpers.make import gpu_device, gpu_figures
from vllmd.engine.state_machine import State
from vllmd.gpu import fit
from vllmd.gpu.memory_shares import GpuMemory, Holder, Owner, shares
from vllmd.gpu.rows import CLOCK_REASONS
from vllmd.gpu.snapshot import DeviceFigures, GpuFigures, SeenXid
from vllmd.util.units import GIB, MIB

TOTAL, RESERVED = 141 * GIB, 620 * MIB
ASLEEP = 2 * GIB
IDLE_W, BUSY_W, LIMIT_W = 78.0, 610.0, 700.0


@attrs.define
class SceneGpu:
    """One GPU; what is set here is what its driver would tell."""

    index: int
    lost_since: float | None = None
    """Since when it does not answer, in seconds since the epoch."""
    foreign_bytes: int = 0
    orphan_bytes: int = 0
    leaked_bytes: int = 0
    """What its engines hold beyond their share."""
    xids: list[SeenXid] = attrs.field(factory=list)
    recovery: float = 0.0
    uncorrected: float = 0.0
    row_pending: float = 0.0
    hot: bool = False
    energy_j: float = 0.0
    heat_s: float = 0.0
    busy: float = 0.0

    @property
    def uuid(self) -> str:
        """Its name."""
        return f"GPU-{self.index:08x}-0000-4000-8000-000000000000"

    def pass_time(self, seconds: float, *, works: bool) -> None:
        """Compute, or not."""
        self.busy = 0.94 if works else 0.0
        self.energy_j += seconds * self.power_w
        self.heat_s += seconds * 0.6 if self.hot else 0.0

    @property
    def power_w(self) -> float:
        """What it takes now."""
        return IDLE_W + (BUSY_W - IDLE_W) * self.busy


def figures(gpus: Sequence[SceneGpu], engines: Sequence[SceneEngine], now: float) -> GpuFigures:
    """Return what is known of them."""
    growth = {
        engine.name: sum(each.leaked_bytes for each in gpus if each.index in engine.gpus)
        for engine in engines
        if engine.page is not None
    }
    return gpu_figures(
        *(_device(each, engines) for each in gpus),
        driver="580.159.04",
        library="580.159.04",
        growth=growth,
        success_at=now - 0.5,
        took_s={"fast": 0.0004, "slow": 0.006, "processes": 0.002},
    )


def _device(each: SceneGpu, engines: Sequence[SceneEngine]) -> DeviceFigures:
    device = gpu_device(each.uuid, index=each.index)
    if each.lost_since is not None:
        xids = tuple(each.xids)
        return DeviceFigures(device, "lost", {}, {}, {}, (), {}, xids, {}, each.lost_since)
    holders = tuple(_holders(each, engines))
    used = sum(holder.bytes or 0 for holder in holders)
    memory = GpuMemory(total=TOTAL, reserved=RESERVED, free=TOTAL - RESERVED - used, used=used)
    margins, budgets = {}, {}
    for engine in engines:
        if each.index in engine.gpus:
            own = sum(holder.bytes or 0 for holder in holders if holder.is_of(engine.name))
            margins[engine.name] = fit.margin_bytes(
                total=TOTAL, reserved=RESERVED, free=memory.free, own=own, share=engine.share
            )
            budgets[engine.name] = float(fit.needed_bytes(TOTAL, RESERVED, engine.share))
    peaks = {"memory_used_bytes": float(used), "power_watts": each.power_w + 20}
    return DeviceFigures(
        device,
        None,
        _values(each, memory),
        peaks,
        shares(memory, holders),
        holders,
        margins,
        tuple(each.xids),
        budgets,
    )


def _holders(each: SceneGpu, engines: Sequence[SceneEngine]) -> Iterator[Holder]:
    for number, engine in enumerate(engines):
        if each.index in engine.gpus and engine.started_at is not None:
            whole = fit.needed_bytes(TOTAL, RESERVED, engine.share) + fit.CONTEXT_BYTES // 2
            size = whole if engine.page is not None else whole // 2
            size = size if engine.state is not State.SLEEPING else ASLEEP
            size += each.leaked_bytes
            yield Holder(
                5000 + number, size, Owner.ENGINE, engine.name, "VLLM::EngineCore", "vllmd", 1
            )
    if each.foreign_bytes:
        yield Holder(7000, each.foreign_bytes, Owner.FOREIGN, None, "python", "ann", 1)
    if each.orphan_bytes:
        yield Holder(7001, each.orphan_bytes, Owner.ORPHAN, None, "VLLM::Worker", "vllmd", 1)


def _values(each: SceneGpu, memory: GpuMemory) -> dict[str, float]:
    works = each.busy > 0
    reasons = dict.fromkeys(CLOCK_REASONS, 0.0)
    reasons |= {"gpu_idle": float(not works), "hw_thermal": float(each.hot)}
    return {
        "memory_total_bytes": float(memory.total),
        "memory_reserved_bytes": float(memory.reserved),
        "memory_used_bytes": float(memory.used),
        "memory_free_bytes": float(memory.free),
        "busy_ratio": each.busy,
        "memory_bus_busy_ratio": each.busy / 2,
        "power_watts": each.power_w,
        "power_limit_watts": LIMIT_W,
        "energy_joules_total": each.energy_j,
        "temperature_celsius:gpu": 34 + 32 * each.busy + 22 * each.hot,
        "temperature_celsius:memory": 40 + 34 * each.busy + 20 * each.hot,
        "clock_hertz:sm": 1.98e9 if works and not each.hot else 0.9e9 if works else 0.345e9,
        "clock_hertz:memory": 3.2e9,
        **{f"clock_event_active:{reason}": value for reason, value in reasons.items()},
        "clock_event_seconds_total:hw_thermal": each.heat_s,
        "clock_event_seconds_total:hw_power_brake": 0.0,
        "ecc_errors_total:corrected": 0.0,
        "ecc_errors_total:uncorrected": each.uncorrected,
        "row_remap_pending": each.row_pending,
        "row_remap_failed": 0.0,
        "recovery_action": each.recovery,
        "pcie_link_generation": 5.0,
        "pcie_link_generation_max": 5.0,
        "pcie_link_width": 16.0,
        "pcie_link_width_max": 16.0,
    }
