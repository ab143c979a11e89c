"""The GPUs as the supervisor of one engine asks for them: where GPU readings meet supervision."""

import functools
from collections.abc import Mapping

from vllmd.config.model import EngineConfig
from vllmd.engine.gpu_interface import GpuView
from vllmd.gpu.attribution import Holder
from vllmd.gpu.latest import Device
from vllmd.gpu.service import GpuService
from vllmd.gpu.sources import NONE
from vllmd.gpu.xid_log import XidEvent
from vllmd.util.units import MIB, format_bytes

NOTICEABLE_BYTES = 256 * MIB
"""Less than this in another's hands keeps no engine from starting."""
RECOVERY = "recovery_action"


def view_of(gpus: GpuService, engine: EngineConfig) -> GpuView:
    """Return what a supervisor may ask; on a host without GPUs nothing is known."""
    if gpus.source == NONE or not gpus.uses_gpus(engine):
        return GpuView()
    mine = functools.partial(gpus.gpus_of, engine)
    return GpuView(
        fine=lambda: _fine(gpus, mine()),
        has_room=lambda: _has_room(gpus, engine, mine()),
        holders=functools.partial(_holders, gpus, engine),
        seen=lambda since: _seen(gpus, engine, mine(), since),
        busy=lambda _shim_pid: _busy(gpus, engine),
        memory_bytes=lambda _shim_pid: gpus.engine_bytes(engine.name),
        recent=gpus.latest.recent,
        mismatch=lambda: gpus.mismatch,
    )


def _fine(gpus: GpuService, devices: list[Device]) -> bool | None:
    if gpus.mismatch or any(device.uuid in gpus.latest.lost for device in devices):
        return False
    values = [gpus.values(device) for device in devices]
    if not values or not all(values):
        return None
    return not any(each.get(RECOVERY) for each in values)


def _has_room(gpus: GpuService, engine: EngineConfig, devices: list[Device]) -> bool | None:
    margins = [gpus.margin(device, engine) for device in devices]
    if not margins or None in margins:
        return None
    return all(margin is not None and margin >= 0 for margin in margins)


async def _holders(gpus: GpuService, engine: EngineConfig) -> list[str] | None:
    """Name what of the engine still holds memory; what belongs to others is theirs."""
    if not gpus.engine_has_held(engine.name):
        return None
    if not await gpus.fresh():
        return None
    return [
        f"GPU {device.label}: {_amount(holder)} held by {holder.describe()}"
        for device in gpus.latest.devices.values()
        for holder in gpus.holders(device.uuid)
        if holder.engine == engine.name
    ]


def _seen(
    gpus: GpuService, engine: EngineConfig, devices: list[Device], since: float
) -> Mapping[str, str]:
    uuids = {device.uuid for device in devices}
    marks = {
        f"xid_{event.code}": event.describe()
        for event in gpus.xids.since(since)
        if (not uuids or event.uuid in uuids) and _concerns(gpus, engine, event)
    }
    others = [
        f"GPU {device.label}: {_amount(holder)} by {holder.describe()}"
        for device in devices
        for holder in gpus.holders(device.uuid)
        if holder.engine != engine.name and (holder.bytes or 0) >= NOTICEABLE_BYTES
    ]
    if others:
        marks["vram_holders"] = f"memory of its GPUs was held: {'; '.join(others)}"
    return marks


def _concerns(gpus: GpuService, engine: EngineConfig, event: XidEvent) -> bool:
    """Tell whether an end of the engine now may follow from an Xid; another's fault is not its."""
    others = event.pid is not None and not gpus.is_process_of(engine.name, event.pid)
    return event.concerns_an_end(gpus.now()) and (event.is_lasting or not others)


def _busy(gpus: GpuService, engine: EngineConfig) -> bool | None:
    """Tell whether the GPUs compute for it; with others on the same GPU only their rest is sure."""
    found = False
    for device in gpus.latest.devices.values():
        holders = gpus.holders(device.uuid)
        own = [h for h in holders if h.is_of(engine.name)]
        ratio = gpus.values(device).get("busy_ratio")
        if not own or ratio is None:
            continue
        found = True
        if ratio > 0:
            return True if len(own) == len(holders) else None
    return False if found else None


def _amount(holder: Holder) -> str:
    return "memory" if holder.bytes is None else format_bytes(holder.bytes)
