"""What the source said last, as long as it is not too old to be said again.

Devices are known by their UUID. The index of each stays what it was when it was first seen since
the boot: a GPU that is lost renumbers the others for NVML, not for a person who reads a dashboard.
"""

import json
import zlib
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.gpu.memory_shares import GpuMemory
from vllmd.gpu.peaks import Peak
from vllmd.gpu.recent_samples import RecentSamples
from vllmd.gpu.rows import FAST, ONCE, ROWS, SLOW
from vllmd.util.units import MINUTE_S

RECENT_S = 10 * MINUTE_S
RECENT_EVERY_S = 9.0
STALE_PERIODS = 3
MIN_STALE_S = 5.0
PEAKS = ("memory_used_bytes", "power_watts")

_WRAPS = {row.key: row.wraps for row in ROWS if row.wraps}


@attrs.frozen
class Periods:
    """How often what is read, in seconds."""

    fast_s: float = 1.0
    processes_s: float = 10.0
    slow_s: float = 15.0


@attrs.frozen
class Device:
    """A GPU, or an instance of one."""

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    parent: str | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    unified: bool = False
    """Its memory is the host's."""

    @property
    def label(self) -> str:
        """How a person calls it: its number, with the instances' after a colon."""
        if self.parent is None:
            return str(self.index)
        return f"{self.index}:{self.gpu_instance}:{self.compute_instance}"

    def is_named(self, name: str) -> bool:
        """Tell whether CUDA_VISIBLE_DEVICES names it so: by index, or by its UUID's begin."""
        if name.isdigit():
            return self.parent is None and self.index == int(name)
        return self.uuid.startswith(name)


@attrs.frozen
class MemoryListing:
    """Who held memory of one device, and how much there was, at one moment (epoch seconds)."""

    at: float
    memory: GpuMemory
    processes: tuple[tuple[int, int | None], ...]


@attrs.define
class _Costs:
    """What one of the readers costs; those that ended before it are in `before_s`."""

    cpu_s: float = 0.0
    before_s: float = 0.0
    rss: int = 0
    errors: Mapping[str, int] = attrs.field(factory=dict)

    def take(self, cpu_s: float, rss: int, errors: Mapping[str, int]) -> None:
        """Take what it said of itself last."""
        if cpu_s < self.cpu_s:
            self.before_s += self.cpu_s
        self.cpu_s, self.rss, self.errors = cpu_s, rss, errors


class LatestReadings:
    """Takes messages of the source. All times are monotonic seconds unless said otherwise."""

    def __init__(
        self, periods: Periods, peak_window_s: float, indices: dict[str, int] | None = None
    ) -> None:
        """Make it; `indices` are those that UUIDs had before, and are added to."""
        self.hello: Mapping[str, Any] = {}
        self.devices: dict[str, Device] = {}
        self.lost: dict[str, str] = {}
        """Devices that were there, by UUID, and why they are not."""
        self._costs: dict[bool, _Costs] = {}
        self.took_s: dict[str, float] = {}
        self.success_at: float | None = None
        """When the fast set was read last, in seconds since the epoch."""
        self.indices = {} if indices is None else indices
        self._periods = periods
        self._window_s = peak_window_s
        self._values: dict[str, tuple[float, dict[str, dict[str, float]]]] = {}
        self._listings: tuple[float, dict[str, MemoryListing]] | None = None
        self._peaks: dict[tuple[str, str], Peak] = {}
        self._counters: dict[tuple[str, str], tuple[float, float]] = {}
        self._recent: deque[tuple[float, bytes]] = deque()
        self.samples = RecentSamples()

    def configure(self, periods: Periods, peak_window_s: float) -> None:
        """Take over other settings; the highest values of another window begin anew."""
        if peak_window_s != self._window_s:
            self._peaks.clear()
        self._periods, self._window_s = periods, peak_window_s

    def take(self, message: Mapping[str, Any], now: float) -> None:
        """Take one message; one of a kind that is not known changes nothing."""
        kind = message["kind"]
        if kind == "hello":
            self.hello = message
        elif kind == "devices":
            self._take_devices(message["devices"])
        elif kind in (FAST, SLOW, ONCE):
            self._take_values(kind, message, now)
        elif kind == "processes":
            self._take_processes(message, now)

    def forget(self) -> None:
        """Show nothing any longer: the source has ended."""
        self._values.clear()
        self._listings = None
        self.samples.forget()
        self.took_s = {}

    def _take_devices(self, records: list[dict[str, Any]]) -> None:
        fields = {field.name for field in attrs.fields(Device)}
        before = {uuid: Device(uuid, index, "", "") for uuid, index in self.indices.items()}
        known = {**before, **self.devices}
        self.devices = {}
        for record in records:
            uuid = record["uuid"]
            about = {k: v for k, v in record.items() if k in fields}
            if "parent" not in record:
                about["index"] = self._index(uuid, record["index"])
            else:
                about["index"] = self._index(record["parent"], record["index"])
            self.devices[uuid] = Device(**about)
        for uuid, device in known.items():
            if uuid not in self.devices and device.parent is None:
                self.devices[uuid] = device
                self.lost[uuid] = "missing"
        self.lost = {u: why for u, why in self.lost.items() if u in self.devices}
        for record in records:
            self.lost.pop(record["uuid"], None)

    def _index(self, uuid: str, wanted: int) -> int:
        if uuid not in self.indices:
            taken = set(self.indices.values())
            free = (n for n in range(wanted, wanted + len(taken) + 1) if n not in taken)
            self.indices[uuid] = next(free)
        return self.indices[uuid]

    def _take_values(self, kind: str, message: Mapping[str, Any], now: float) -> None:
        values: dict[str, dict[str, float]] = message["values"]
        for uuid, read in values.items():
            for key in _WRAPS.keys() & read.keys():
                read[key] = self._unwrapped(uuid, key, read[key])
            if kind == FAST:
                for key in PEAKS:
                    if key in read:
                        peak = self._peaks.setdefault((uuid, key), Peak(self._window_s))
                        peak.add(now, read[key])
        self._values[kind] = (now, values)
        self.took_s[kind] = message["took_s"]
        costs = self._costs.setdefault(kind == FAST, _Costs())
        costs.take(message["cpu_s"], message["rss"], message["errors"])
        missing = {u: why for u, why in self.lost.items() if why == "missing"}
        if kind == FAST:
            self.samples.take(now, values)
            self.success_at = message["at"]
            self.lost = {**missing, **message["lost"]}

    def _unwrapped(self, uuid: str, key: str, value: float) -> float:
        last, total = self._counters.get((uuid, key), (None, 0.0))
        total += value if last is None else (value - last) % _WRAPS[key]
        self._counters[uuid, key] = value, total
        return total

    def _take_processes(self, message: Mapping[str, Any], now: float) -> None:
        at = message["at"]
        self._listings = (
            now,
            {
                uuid: MemoryListing(
                    at, GpuMemory(**each["memory"]), tuple((p, b) for p, b in each["processes"])
                )
                for uuid, each in message["devices"].items()
            },
        )
        self.took_s["processes"] = message["took_s"]
        if not self._recent or now - self._recent[-1][0] >= RECENT_EVERY_S:
            content = {"at": at, "values": self.all_values(now), "devices": message["devices"]}
            self._recent.append((now, zlib.compress(json.dumps(content).encode(), 1)))
        while self._recent and self._recent[0][0] < now - RECENT_S:
            self._recent.popleft()

    # --- what is known now -------------------------------------------------------------------

    @property
    def errors(self) -> Mapping[str, int]:
        """Failed calls of NVML since the readers began, by its number."""
        found: Counter[str] = Counter()
        for each in self._costs.values():
            found.update(each.errors)
        return found

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all readers that there were."""
        return sum(each.before_s + each.cpu_s for each in self._costs.values())

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the readers."""
        return sum(each.rss for each in self._costs.values())

    @property
    def read_at(self) -> float | None:
        """When the fast set came last; None if there is none."""
        return self._values[FAST][0] if FAST in self._values else None

    def fresh(self, now: float) -> bool:
        """Tell whether the fast set was read lately."""
        return FAST in self._values and self._young(self._values[FAST][0], FAST, now)

    def _young(self, read_at: float, kind: str, now: float) -> bool:
        period_s = {
            FAST: self._periods.fast_s,
            SLOW: self._periods.slow_s,
            "processes": self._periods.processes_s,
        }.get(kind)
        return period_s is None or now - read_at <= max(MIN_STALE_S, STALE_PERIODS * period_s)

    def values(self, uuid: str, now: float) -> dict[str, float]:
        """Return the figures of one device by `Row.key`, without those that are too old."""
        if uuid in self.lost or not self.fresh(now):
            return {}
        found: dict[str, float] = {}
        for kind, (read_at, values) in self._values.items():
            if self._young(read_at, kind, now):
                found.update(values.get(uuid, {}))
        return found

    def all_values(self, now: float) -> dict[str, dict[str, float]]:
        """Return the figures of all devices."""
        return {uuid: self.values(uuid, now) for uuid in self.devices}

    def peak(self, uuid: str, key: str, now: float) -> float | None:
        """Return the highest value of the window; None if nothing was read in it."""
        peak = self._peaks.get((uuid, key))
        return peak.highest(now) if peak and uuid not in self.lost else None

    def listings(self, now: float) -> Mapping[str, MemoryListing] | None:
        """Return who holds memory, by UUID; None if it was not listed lately."""
        if self._listings is None or not self._young(self._listings[0], "processes", now):
            return None
        return self._listings[1]

    def recent(self) -> list[dict[str, Any]]:
        """Return what was shown in the last minutes, the oldest first, some seconds apart."""
        return [json.loads(zlib.decompress(packed)) for _, packed in self._recent]
