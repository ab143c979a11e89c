"""The GPUs as the supervisor of one engine asks for them: where GPU readings meet supervision."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vllmd.config.gpus import gpus_used
from vllmd.config.memory import LEAST_DEFAULT_SHARE
from vllmd.config.model import EngineConfig
from vllmd.engine.gpu_interface import EngineGpus, Shortage
from vllmd.engine.liveness.reading import GpuTrace
from vllmd.gpu import fit
from vllmd.gpu.attribution import WEIGHTS_OF
from vllmd.gpu.latest import Device
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.reader_process import STARTING
from vllmd.gpu.service import GpuService
from vllmd.gpu.sources import NONE
from vllmd.gpu.xid_log import XidEvent
from vllmd.util.units import MIB, format_bytes

NOTICEABLE_BYTES = 256 * MIB
"""Less than this in another's hands keeps no engine from starting."""
RECOVERY = "recovery_action"
RANK = re.compile(r"_DP(\d+)(?!\d)")
"""In the title of a process. Source: vLLM 0.32: `VLLM::EngineCore_DP1`, `VLLM::Worker_DP1_TP0`."""
CONFIG_FILE = "config"
"""The flag for a file of flags, which may name another share of the memory."""
MEMORY = ("memory_total_bytes", "memory_reserved_bytes", "memory_free_bytes")
ELSEWHERE = (
    *("cpu-offload", "kv-offload", "offload", "kv-transfer", "ec-transfer", "nnodes"),
    *("weight-transfer", "worker-extension"),
)
"""Flags by which a step waits for the host's memory, another engine, a trainer or another host,
with a GPU that spins meanwhile. Those of a parallel size beyond this host's GPUs are told by their
number."""


def view_of(gpus: GpuService, engine: EngineConfig) -> EngineGpus:
    """Return what a supervisor may ask; on a host without GPUs nothing is known."""
    if gpus.source == NONE or not gpus.uses_gpus(engine):
        return EngineGpus()
    return ReadEngineGpus(gpus, engine)


class ReadEngineGpus(EngineGpus):
    """Those of one engine, as they were read last."""

    def __init__(self, gpus: GpuService, engine: EngineConfig) -> None:
        self._gpus, self._engine = gpus, engine

    def _devices(self) -> list[Device]:
        return self._gpus.gpus_of(self._engine)

    def fine(self) -> bool | None:
        """Tell whether they work: no fault that needs a reset, and the expected driver."""
        gpus, devices = self._gpus, self._devices()
        if gpus.mismatch or any(device.uuid in gpus.latest.lost for device in devices):
            return False
        values = [gpus.values(device) for device in devices]
        if not values or not all(values):
            return None
        return not any(each.get(RECOVERY) for each in values)

    def has_room(self) -> bool | None:
        """Tell whether as much of their memory is free as the engine takes."""
        margins = [self._gpus.margin(device, self._engine, now=True) for device in self._devices()]
        if not margins or None in margins:
            return None
        return all(margin is not None and margin >= 0 for margin in margins)

    def awaited(self) -> bool:
        """Tell whether they are about to be read for the first time; a stand-in needs none."""
        gpus, problem = self._gpus, self._gpus.reader.problem
        begins = problem is None or problem == STARTING
        return not self._engine.is_stand_in and gpus.latest.success_at is None and begins

    def shortage(self) -> Shortage | None:
        """Tell what is missing for a start now, on the GPU where most is; a stand-in needs none.

        A GPU that is divided says nothing: an engine gets one of its instances, not all of it.
        """
        engine, gpus = self._engine, self._gpus
        if engine.is_stand_in:
            return None
        share = engine.gpu_memory_utilization or LEAST_DEFAULT_SHARE
        worst: Device | None = None
        missing = 0
        for device in self._devices():
            values = gpus.values(device)
            divided = any(each.parent == device.uuid for each in gpus.latest.devices.values())
            if divided or not all(key in values for key in MEMORY):
                continue
            total, reserved, free = (values[key] for key in MEMORY)
            own = gpus.weights_margin(device, engine)
            margin = fit.margin_bytes(
                total=total, reserved=reserved, free=free, own=own, share=share
            )
            if -margin > missing:
                worst, missing = device, math.ceil(-margin)
        if worst is None:
            return None
        seen = worst in gpus.seen_on(engine) and not engine.flags.get(CONFIG_FILE)
        sure = seen and missing > fit.UNSURE_BYTES
        return Shortage(worst.label, missing, self._held(worst), sure)

    def _held(self, device: Device) -> tuple[str, ...]:
        """Name who holds memory of a GPU, most first; an engine's processes are one."""
        held: dict[str, int] = {}
        for holder in self._gpus.holders(device.uuid):
            name = f"engine {holder.engine}"
            if holder.is_kept_weights:
                name = f"weights that are kept for engine {holder.engine}"
            elif holder.owner is not Owner.ENGINE:
                name = holder.describe()
            if holder.owner is Owner.ORPHAN:
                name = f"{name}, left by an engine that ended ('vllmd gpu reap')"
            held[name] = held.get(name, 0) + (holder.bytes or 0)
        most = sorted(held.items(), key=lambda each: -each[1])
        return tuple(
            f"{name}: {format_bytes(size)}" if size else name
            for name, size in most
            if size >= NOTICEABLE_BYTES or not size
        )

    async def holders(self) -> list[str] | None:
        """Name what of the engine still holds memory; what belongs to others is theirs."""
        gpus, name = self._gpus, self._engine.name
        if not gpus.engine_has_held(name):
            return None
        if not await gpus.fresh():
            return None
        return [
            f"GPU {device.label}: {_amount(holder)} held by {holder.describe()}"
            for device in gpus.latest.devices.values()
            for holder in gpus.holders(device.uuid)
            if holder.engine == name and not holder.is_kept_weights
        ]

    async def weights_holders(self) -> list[str] | None:
        """Name what of its weights still holds memory."""
        gpus, name = self._gpus, self._engine.name
        if not gpus.engine_has_held(f"{WEIGHTS_OF}{name}") or not await gpus.fresh():
            return None
        return [
            f"GPU {device.label}: {_amount(holder)} held by {holder.describe()}"
            for device in gpus.latest.devices.values()
            for holder in gpus.holders(device.uuid)
            if holder.is_weights_of(name) or holder.engine == f"{WEIGHTS_OF}{name}"
        ]

    def seen(self, since: float) -> Mapping[str, str]:
        """Return the Xids that concern the engine since a time, and who else holds memory now."""
        gpus, devices = self._gpus, self._devices()
        uuids = {device.uuid for device in devices}
        marks = {
            f"xid_{event.code}": event.describe()
            for event in gpus.xids.since(since)
            if (not uuids or event.uuid in uuids) and self._concerns(event)
        }
        others = [
            f"GPU {device.label}: {_amount(holder)} by {holder.describe()}"
            for device in devices
            for holder in gpus.holders(device.uuid)
            if holder.engine not in (self._engine.name, f"{WEIGHTS_OF}{self._engine.name}")
            and (holder.bytes or 0) >= NOTICEABLE_BYTES
        ]
        if others:
            marks["vram_holders"] = f"memory of its GPUs was held: {'; '.join(others)}"
        return marks

    def _concerns(self, event: XidEvent) -> bool:
        """Tell whether an end now may follow from an Xid; another's fault is not the engine's."""
        gpus = self._gpus
        others = event.pid is not None and not gpus.is_process_of(self._engine.name, event.pid)
        return event.concerns_an_end(gpus.now()) and (event.is_lasting or not others)

    def busy(self) -> bool | None:
        """Tell whether they compute for it; beside others on a GPU, only their rest is sure.

        Returns: None also if one of them was not read: it may be the one that computes.
        """
        gpus, found = self._gpus, set[bool | None]()
        for device in gpus.latest.devices.values():
            holders = [h for h in gpus.holders(device.uuid) if not h.is_kept_weights]
            own = [h for h in holders if h.is_of(self._engine.name)]
            ratio = gpus.values(device).get("busy_ratio")
            if own:
                alone = len(own) == len(holders)
                found.add(None if ratio is None or (ratio > 0 and not alone) else ratio > 0)
        return True if True in found else False if found == {False} else None

    def idle_ranks(self) -> frozenset[int]:
        """Return the data parallel ranks whose GPUs are known to compute nothing.

        A rank is told by the titles of its processes.
        """
        gpus, idle, others = self._gpus, set[int](), set[int]()
        for device in gpus.latest.devices.values():
            own = [h for h in gpus.holders(device.uuid) if h.is_of(self._engine.name)]
            found = {int(rank[1]) for h in own if (rank := RANK.search(h.name))}
            is_idle = gpus.values(device).get("busy_ratio") == 0
            (idle if is_idle else others).update(found)
        return frozenset(idle - others)

    def rank_pids(self) -> Mapping[int, frozenset[int]]:
        """Return the processes of each data parallel rank that hold memory there, by titles."""
        found: dict[int, set[int]] = {}
        for device in self._gpus.latest.devices.values():
            for holder in self._gpus.holders(device.uuid):
                rank = RANK.search(holder.name) if holder.is_of(self._engine.name) else None
                if rank is not None:
                    found.setdefault(int(rank[1]), set()).add(holder.pid)
        return {rank: frozenset(pids) for rank, pids in found.items()}

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        """Return what its GPUs showed between two monotonic times.

        Returns: None if not all of them are known, or it waits for what none of them shows.
        """
        gpus, engine = self._gpus, self._engine
        name, flags = engine.name, engine.flags
        quiet = gpus.idle_engines() | {name}
        found = []
        for device in gpus.latest.devices.values():
            holders = [h for h in gpus.holders(device.uuid) if not h.is_kept_weights]
            own = frozenset(holder.pid for holder in holders if holder.is_of(name))
            if own:
                samples = gpus.latest.samples.since(device.uuid, since)
                shared = not all(any(each.is_of(e) for e in quiet) for each in holders)
                found.append(GpuTrace(device.label, since, until, samples, own, shared))
        elsewhere = any(flag.startswith(ELSEWHERE) for flag, value in flags.items() if value)
        if engine.group or elsewhere or len(found) < gpus_used(engine):
            return None
        return tuple(found)

    def memory_bytes(self) -> int | None:
        """Return how much of their memory the engine's processes hold."""
        return self._gpus.engine_bytes(self._engine.name)

    async def fresh_memory_bytes(self) -> int | None:
        """Return the same of now."""
        return self.memory_bytes() if await self._gpus.fresh() else None

    def recent(self) -> Sequence[Mapping[str, Any]]:
        """Return what all GPUs showed in the last minutes."""
        return self._gpus.latest.recent()

    def mismatch(self) -> str | None:
        """Return the sentence that says that the driver was changed."""
        return self._gpus.mismatch


def _amount(holder: Holder) -> str:
    return "memory" if holder.bytes is None else format_bytes(holder.bytes)
