"""The document itself, from what the other rooms know. Pure; `schema.json` says what is in it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from vllmd.engine.doubts import Doubt
from vllmd.engine.state_machine import HAS_PAGE
from vllmd.engine.status import EngineStatus
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.snapshot import DeviceFigures, GpuFigures
from vllmd.monitoring.settings import RuleSettings
from vllmd.pulling.share import Share
from vllmd.status.filesystems import Filesystem
from vllmd.status.reasons import reason
from vllmd.status.window import LoadNow
from vllmd.util.units import MIB

SCHEMA_VERSION = 1
AVAIL_STEP = 16 * MIB
"""Room on a disk is told in whole steps: vllmd itself writes there, and no answer would ever be the
same as the last one."""
LOST: Mapping[str, str] = {
    "missing": "the driver does not list it any more",
    "lost": "the driver lost it, and only a reboot brings it back",
    "not_read": "it was not read lately",
}
"""Why a GPU cannot be read, in words; of the others the word is clear enough."""


NO_REQUESTS = {"requests_running": None, "requests_waiting": None}
"""What is known of an engine whose page was not read lately: a count of long ago is not told."""


@attrs.frozen
class EngineParts:
    """What is known of one engine, by several rooms."""

    status: EngineStatus
    load: LoadNow = attrs.field(factory=LoadNow)
    adapters: Mapping[str, Any] | None = None
    """As `adapter_counts` returns it; None if it is to have none."""
    doubts: Sequence[Doubt] = ()
    printing: str | None = None
    log_problem: str | None = None
    vllm_version: str | None = None
    page_up: bool | None = None
    """Whether its page was read when it was asked for last; None if it never was."""
    page_fresh: bool = True
    """Whether what its page showed last is of now."""
    probe: Mapping[str, Any] | None = None
    """How its answers stand; None if they are not looked at."""
    download: Share | None = None
    """How much of its model is here, while it is downloaded."""


def adapter_counts(listed: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how many adapters are wanted and loaded, and which are missing, by engine."""
    found = {}
    for each in listed:
        wanted = [a for a in each["adapters"] if a["source"] is not None]
        missing = sorted(a["name"] for a in wanted if a["condition"] != "loaded")
        counts = {"wanted": len(wanted), "loaded": len(wanted) - len(missing)}
        found[each["engine"]] = {**counts, "missing": missing}
    return found


def engine_to_json(parts: EngineParts, gpus: GpuFigures, now: float) -> dict[str, Any]:
    """Return one engine: what `EngineStatus.to_json` says, and what other rooms know of it."""
    status = parts.status
    has_page = status.state in HAS_PAGE and parts.page_up is not None
    load = parts.load if has_page else LoadNow()
    held = [d.owners.get((Owner.ENGINE, status.name), 0) for d in gpus.devices]
    margins = [d.margins[status.name] for d in gpus.devices if status.name in d.margins]
    return {
        **status.to_json(),
        **({} if parts.page_up or parts.page_fresh else NO_REQUESTS),
        "printing": parts.printing,
        "log_problem": parts.log_problem,
        "doubts": [doubt.to_json() for doubt in parts.doubts],
        "adapters": parts.adapters,
        "probe": parts.probe,
        "reason": reason(status, parts.adapters, parts.doubts, now),
        "progress": _progress(status),
        "download": _download(parts.download),
        "next_try_at": status.hold.retry_at if status.hold else status.next_start_at,
        **attrs.asdict(load),
        "gpu_memory_bytes": sum(held) or None,
        "restart_margin_bytes": round(min(margins)) if margins else None,
        "gpus": [
            device.device.label
            for device, size in zip(gpus.devices, held, strict=True)
            if size or status.name in device.margins
        ],
        "vllm_version": parts.vllm_version,
        "page_up": parts.page_up,
    }


def _progress(status: EngineStatus) -> float | None:
    """Return the share of a load that is over, by how long earlier ones took."""
    if status.start_left_s is None:
        return None
    over_s = sum(status.phases.values())
    whole_s = over_s + max(0.0, status.start_left_s)
    return round(over_s / whole_s, 3) if whole_s > 0 else None


def _download(share: Share | None) -> dict[str, int] | None:
    if share is None:
        return None
    return {"done_bytes": share.done, "total_bytes": share.total}


def gpu_to_json(found: DeviceFigures, host_memory_floor: float) -> dict[str, Any]:
    """Return one GPU; who holds its memory adds up to all of it.

    `host_memory_floor` is the share of a host's memory that stays free, where its GPU shares it.
    """
    device, values = found.device, found.values
    total = values.get("memory_total_bytes")
    floor = host_memory_floor * total if device.unified and total else None
    return {
        "gpu": device.label,
        "uuid": device.uuid,
        "name": device.name,
        "parent": device.parent,
        "profile": found.profile or None,
        "unified": device.unified,
        "lost": found.lost and LOST.get(found.lost, found.lost.replace("_", " ")),
        "lost_since": found.lost_since,
        "memory_total_bytes": _whole(total),
        "memory_used_bytes": _whole(values.get("memory_used_bytes")),
        "memory_free_bytes": _whole(values.get("memory_free_bytes")),
        "memory_floor_bytes": _whole(floor),
        "busy_ratio": values.get("busy_ratio"),
        "power_watts": values.get("power_watts"),
        "power_limit_watts": values.get("power_limit_watts"),
        "temperature_celsius": values.get("temperature_celsius:gpu"),
        "owners": [
            {"owner": str(owner), "engine": engine, "bytes": size}
            for (owner, engine), size in found.owners.items()
            if size > 0
        ],
        "restart_margin_bytes": {name: round(size) for name, size in found.margins.items()},
        "recovery_action": _whole(values.get("recovery_action")),
        "row_remap_pending": _flag(values.get("row_remap_pending")),
        "row_remap_failed": _flag(values.get("row_remap_failed")),
        "ecc_uncorrected": _whole(values.get("ecc_errors_total:uncorrected")),
        "xids": [
            {
                "xid": seen.xid.code,
                "text": seen.xid.text,
                "action": str(seen.xid.action),
                "last_at": seen.last_at,
            }
            for seen in found.xids
        ],
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _flag(value: float | None) -> bool | None:
    return None if value is None else bool(value)


def reader_to_json(gpus: GpuFigures) -> dict[str, Any]:
    """Return how the GPUs are read."""
    return {
        "source": gpus.source,
        "reason": gpus.problem.reason if gpus.problem else None,
        "problem": gpus.problem.text if gpus.problem else None,
        "driver": gpus.driver,
        "driver_mismatch": gpus.mismatch,
    }


def filesystem_to_json(found: Filesystem, settings: RuleSettings) -> dict[str, Any]:
    """Return the room in one folder; `low` by the threshold of the alert."""
    low = found.avail_bytes < settings.disk_ratio * found.size_bytes
    avail = found.avail_bytes - found.avail_bytes % AVAIL_STEP
    return {**attrs.asdict(found), "avail_bytes": avail, "low": low}
