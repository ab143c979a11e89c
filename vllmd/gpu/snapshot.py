"""All that is known of the GPUs now, as the page, the command line and supervisors see it."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.gpu.latest import Device
from vllmd.gpu.memory_shares import Holder, Share
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.readers import DisabledRow
from vllmd.xids import Xid, describe

NOT_READ = "not_read"
"""Why a GPU is not known of which there is no new reading: a matter of the reader, not of it."""
_PROFILE = re.compile(r"\bMIG (\S+)")


@attrs.frozen
class SeenXid:
    """One Xid of one GPU: how often since the boot, and when last (epoch seconds)."""

    xid: Xid
    count: int
    last_at: float

    @classmethod
    def of(cls, code: int, count: int, last_at: float) -> "SeenXid":
        """Make it of the number that the driver told."""
        return cls(describe(code), count, last_at)


@attrs.frozen
class DeviceFigures:
    """One GPU or instance. Everything that is not known is absent."""

    device: Device
    lost: str | None
    """Why it cannot be read; None if it can."""
    values: Mapping[str, float]
    """By `Row.key`."""
    peaks: Mapping[str, float]
    owners: Mapping[Share, int]
    holders: tuple[Holder, ...]
    margins: Mapping[str, float]
    """What would be left if that engine started again, in bytes; below 0 it would not."""
    xids: tuple[SeenXid, ...]
    budgets: Mapping[str, float] = attrs.field(factory=dict)
    """What that engine takes by its share of the GPU, in bytes."""
    lost_since: float | None = None
    """Of one that does not answer by itself, in seconds since the epoch."""

    @property
    def profile(self) -> str:
        """Of an instance: its profile, such as ``1g.10gb``."""
        match = _PROFILE.search(self.device.name) if self.device.parent else None
        return match[1] if match else ""

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd gpu --json` prints it."""
        device = self.device
        return {
            "uuid": device.uuid,
            "gpu": device.label,
            "name": device.name,
            "pci_bus_id": device.pci_bus_id,
            "parent": device.parent,
            "profile": self.profile or None,
            "unified": device.unified,
            "lost": self.lost,
            "lost_since": self.lost_since,
            "values": dict(self.values),
            "peaks": dict(self.peaks),
            "owners": [
                {"owner": str(owner), "engine": engine, "bytes": size}
                for (owner, engine), size in self.owners.items()
            ],
            "processes": [
                {**attrs.asdict(holder), "owner": str(holder.owner)} for holder in self.holders
            ],
            "restart_margin_bytes": dict(self.margins),
            "xids": [
                {
                    "xid": seen.xid.code,
                    "text": seen.xid.text,
                    "action": str(seen.xid.action),
                    "count": seen.count,
                    "last_at": seen.last_at,
                }
                for seen in self.xids
            ],
        }


@attrs.frozen
class GpuFigures:
    """The GPUs of this host, and how they are read."""

    source: str
    """`nvml`, `demo` or `none`."""
    problem: ReaderProblem | None
    driver: str
    """The version that the kernel runs."""
    library: str
    """The version of NVIDIA's library that a new process would load."""
    mismatch: str | None
    """The sentence that says that these two do not fit; None if they do, or nobody knows."""
    devices: tuple[DeviceFigures, ...]
    growth: Mapping[str, int]
    """By engine: what it holds more than with its largest batch so far, in bytes."""
    errors: Mapping[str, int]
    """Failed calls of NVML since the reader began, by NVML's number."""
    cpu_s: float
    rss_bytes: int
    took_s: Mapping[str, float]
    success_at: float | None
    starts: int
    stuck: int
    disabled: tuple[DisabledRow, ...]
    """Figures that are not read any more, as asking for them ended or hung a reader."""
    host_memory_floor: float
    """The share of the host's memory below which an engine gives back what its GPU shares."""
    kernel_log: bool | None
    """Whether the kernel's log can be followed for Xids."""

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd gpu --json` prints it."""
        return {
            "source": self.source,
            "problem": attrs.asdict(self.problem) if self.problem else None,
            "driver": self.driver,
            "library": self.library,
            "driver_mismatch": self.mismatch,
            "gpus": [each.to_json() for each in self.devices],
            "growth_bytes": dict(self.growth),
            "reader": {
                "success_at": self.success_at,
                "cpu_s": self.cpu_s,
                "resident_bytes": self.rss_bytes,
                "starts": self.starts,
                "stuck": self.stuck,
                "errors": dict(self.errors),
                "disabled_rows": [attrs.asdict(row) for row in self.disabled],
                "kernel_log": self.kernel_log,
            },
        }
