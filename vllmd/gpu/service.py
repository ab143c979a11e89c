"""The GPUs of the host and the engines on them: readings, owners, Xids, the driver."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from vllmd.config import paths
from vllmd.config.command import Commands
from vllmd.config.gpus import visible_gpus
from vllmd.config.memory import share_of
from vllmd.config.model import Config
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.gpu import (
    GpuDriverChanged,
    GpuFound,
    GpuLost,
    GpuOrphansKilled,
    GpuReaderFailed,
    GpuReleased,
)
from vllmd.gpu import attribution, fit, hardware, memory_shares, shims
from vllmd.gpu.growth import Baseline
from vllmd.gpu.kernel_log import KernelLog
from vllmd.gpu.known import KnownGpus
from vllmd.gpu.latest import PEAKS, LatestReadings, Periods
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.readers import Readers
from vllmd.gpu.snapshot import NOT_READ, DeviceFigures, GpuFigures
from vllmd.gpu.sources import NONE, NVML, source_of
from vllmd.gpu.state_file import GpuStateFile
from vllmd.gpu.xid_log import XidEvent, XidLog
from vllmd.util.clock import Clock, wait_event
from vllmd.util.parts import Part
from vllmd.xids import KernelXid, parse_pci

OFTEN_S = 1.0
"""How often processes are listed while an engine starts or stops."""
IN_TRANSITION = frozenset({State.STARTING, State.LOADING, State.DRAINING, State.STOPPING})
FRESH_S = 3.0
"""How long a listing that was asked for may take."""

_log = structlog.get_logger()


class GpuService(KnownGpus):
    """All GPUs; its parts read them, everything else answers from what was read."""

    def __init__(
        self,
        config: Config,
        commands: Commands,
        engines: Callable[[], Sequence[EngineStatus]],
        clock: Clock,
        state_file: GpuStateFile,
    ) -> None:
        settings = config.gpu
        self._config = config
        self._visible, self._commands = _visible(commands), commands
        self._engines = engines
        self._clock = clock
        self.state_file = state_file
        self._state = state_file.load()
        self._periods = Periods(settings.every_s, settings.processes_s, settings.slow_s)
        self.source = source_of(settings.source)
        self.latest = LatestReadings(self._periods, settings.peak_window_s, self._state.indices)
        self.reader = self._make_reader()
        self._kernel = KernelLog(self._take_kernel_xid, clock)
        self._holders: dict[str, tuple[Holder, ...]] = {}
        self._growth: dict[str, int] = {}
        self._attributed_at = clock.monotonic()
        self.xids = XidLog(self._state.xids)
        self._pace_s = settings.processes_s
        self._awaiting: set[asyncio.Event] = set()
        self._driver = self._library = ""

    def _make_reader(self) -> Readers:
        return Readers(self.source, self._periods, self._take, self._forget, self._clock)

    def configure(self, config: Config, commands: Commands) -> None:
        """Take over other settings; only those of the readings themselves begin them anew."""
        before, self._config = self._config.gpu, config
        self._visible, self._commands = _visible(commands), commands
        settings = config.gpu
        if settings == before:
            return
        self._periods = Periods(settings.every_s, settings.processes_s, settings.slow_s)
        self.latest.configure(self._periods, settings.peak_window_s)
        self.source = source_of(settings.source)
        self._forget()
        before_reader, self.reader = self.reader, self._make_reader()
        self.reader.go_on_from(before_reader)
        self._pace_s = settings.processes_s

    def parts(self) -> Iterator[Part]:
        """Yield what is to run: the reader, and the kernel's log."""
        if self.source != NONE:
            yield from self.reader.parts()
        if self.source == NVML:
            yield Part("kernel_log", self._kernel.run)

    # --- what comes in -----------------------------------------------------------------------

    def _take(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        self.latest.take(message, self._clock.monotonic())
        if kind == "xid":
            self._take_xid(XidEvent(message["at"], message["uuid"], message["code"], ""))
        elif kind == "processes":
            self._attribute()
            for listed in self._awaiting:
                listed.set()
        elif kind == "fast":
            self._tell_lost()
            self._set_pace()
        elif kind == "mistake":
            emit(_log, GpuReaderFailed(reason="mistake", problem=message["text"]), level="error")
        elif kind in ("hello", "slow"):
            self._look_at_driver()

    def _forget(self) -> None:
        self.latest.forget()
        self._holders.clear()
        self._pace_s = self._periods.processes_s
        self._look_at_driver()

    def _tell_lost(self) -> None:
        lost, known, devices = self.latest.lost, self._state.lost, self.latest.devices
        for uuid in lost.keys() ^ known.keys():
            _, why = known.pop(uuid, (0.0, ""))
            if uuid in lost:
                known[uuid] = self.now(), lost[uuid]
                emit(_log, GpuLost(gpu=devices[uuid].label, uuid=uuid, reason=lost[uuid]))
            elif uuid in devices:
                emit(_log, GpuFound(gpu=devices[uuid].label, uuid=uuid, after=why))
            self.state_file.save(self._state)

    def _set_pace(self) -> None:
        wanted = self._periods.processes_s
        if any(engine.state in IN_TRANSITION for engine in self._engines()):
            wanted = min(OFTEN_S, wanted)
        if wanted != self._pace_s and self.reader.tell(f"pace processes {wanted}"):
            self._pace_s = wanted

    def _look_at_driver(self) -> None:
        """Compare what the kernel runs with what a new process would load."""
        loaded = str(self.latest.hello.get("library", ""))
        self._driver = hardware.kernel_driver_version() or str(self.latest.hello.get("driver", ""))
        self._library = (hardware.library_version(loaded) if loaded else None) or ""
        problem, found = self.reader.problem, None
        if self._driver and self._library and self._driver != self._library:
            found = (
                f"the kernel runs driver {self._driver}, but the library on the disk is "
                f"{self._library}: running engines go on, new processes cannot use the GPU"
            )
        elif problem is not None and problem.reason == "driver_mismatch":
            found = f"{problem.text}: new processes cannot use the GPU"
        if found and not self._state.mismatch:
            emit(_log, GpuDriverChanged(problem=found, advice="drain, then reboot"))
        self._state.mismatch = found
        self.state_file.save(self._state)

    def _take_kernel_xid(self, found: KernelXid) -> None:
        for device in self.latest.devices.values():
            if device.parent is None and parse_pci(device.pci_bus_id) == found.pci:
                self._take_xid(XidEvent(self.now(), device.uuid, found.code, found.text))

    def _take_xid(self, event: XidEvent) -> None:
        if self.xids.take(event, self.latest.devices.get(event.uuid)):
            self.state_file.save(self._state)

    def _attribute(self) -> None:
        """Say whose the processes are, and how much each engine has grown."""
        listings = self.latest.listings(self._clock.monotonic()) or {}
        found = self._shims()
        listed = {pid for each in listings.values() for pid, _ in each.processes}
        attribution.forget_ended(self._state, listed)
        self._holders = {
            uuid: tuple(
                attribution.identify(pid, size, found, self._state)
                for pid, size in listing.processes
            )
            for uuid, listing in listings.items()
        }
        held = {e.name: (e, self.engine_bytes(e.name)) for e in self._engines()}
        self._growth = {}
        now = self._clock.monotonic()
        passed_s, self._attributed_at = now - self._attributed_at, now
        for name, (engine, size) in held.items():
            base = self._state.baselines.get(name)
            if engine.run_id is None or not size or engine.state is not State.READY:
                continue
            if base is None or base.run_id != engine.run_id:
                if not all(listing.at > engine.since for listing in listings.values()):
                    continue
                base = Baseline(engine.run_id, size)
                on = tuple(device.uuid for device in self._used_by(name))
                self._state.held[name] = engine.command_hash or "", on
            base = base.after(size, engine.requests_running or 0, passed_s)
            self._state.baselines[name] = base
            self._growth[name] = size - base.bytes
        self.state_file.save(self._state)

    def _shims(self) -> dict[int, str]:
        """Return the processes beside engines, those that are not configured any more too."""
        return shims.running(self._engines(), paths.run_dir(self._config))

    # --- what is known -----------------------------------------------------------------------

    async def fresh(self) -> bool:
        """Ask for a listing and wait for it; tell whether it came."""
        listed = asyncio.Event()
        self._awaiting.add(listed)
        try:
            return self.reader.tell("processes") and await wait_event(listed, FRESH_S, self._clock)
        finally:
            self._awaiting.discard(listed)

    def figures(self) -> GpuFigures:
        """Return all that is known now."""
        now, latest = self._clock.monotonic(), self.latest
        listings, fared = self.listings() or {}, self.reader.figures()
        margins: dict[str, dict[str, float]] = {}
        budgets: dict[str, dict[str, float]] = {}
        for name, engine in self._config.engines.items():
            for device in self.gpus_of(engine):
                margin = self.margin(device, engine)
                if margin is not None:
                    margins.setdefault(device.uuid, {})[name] = margin
                    memory = listings[device.uuid].memory
                    budget = fit.needed_bytes(memory.total, memory.reserved, share_of(engine))
                    budgets.setdefault(device.uuid, {})[name] = budget
        found = []
        for uuid, device in latest.devices.items():
            listing, holders = listings.get(uuid), self.holders(uuid)
            peaks = {key: latest.peak(uuid, key, now) for key in PEAKS}
            found.append(
                DeviceFigures(
                    device,
                    latest.lost.get(uuid) or (None if latest.fresh(now) else NOT_READ),
                    latest.values(uuid, now),
                    {key: peak for key, peak in peaks.items() if peak is not None},
                    memory_shares.shares(listing.memory, holders) if listing else {},
                    holders,
                    margins.get(uuid, {}),
                    self.xids.of(uuid),
                    budgets.get(uuid, {}),
                    self._state.lost.get(uuid, (None,))[0],
                )
            )
        return GpuFigures(
            source=self.source,
            problem=self._problem(),
            driver=self._driver,
            library=self._library,
            mismatch=self.mismatch,
            devices=tuple(sorted(found, key=lambda f: (f.device.index, f.device.label))),
            growth=dict(self._growth) if self.listings() is not None else {},
            errors=latest.errors,
            cpu_s=latest.cpu_s,
            rss_bytes=latest.rss_bytes,
            took_s=latest.took_s,
            success_at=latest.success_at,
            starts=fared.starts,
            stuck=fared.stuck,
            disabled=self.reader.disabled(),
            host_memory_floor=self._config.gpu.host_memory_floor,
            kernel_log=self._kernel.readable,
        )

    def _problem(self) -> ReaderProblem | None:
        if self.source == NONE:
            why = "no NVIDIA GPU is in this host, or gpu.source is 'none'"
            return ReaderProblem("disabled", why)
        return self.reader.problem

    # --- what is done ------------------------------------------------------------------------

    async def reap(self) -> list[str]:
        """Kill the orphans that hold GPU memory; returns who they were."""
        await self.fresh()
        found, killed = self._shims(), {}
        for holder in {h for each in self._holders.values() for h in each}:
            again = attribution.identify(holder.pid, holder.bytes, found, self._state)
            if again.owner is Owner.ORPHAN and again.start_ticks == holder.start_ticks:
                try:
                    os.kill(holder.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError) as error:
                    emit(_log, GpuOrphansKilled(pid=holder.pid, problem=str(error)))
                    continue
                killed[holder.pid] = again.describe()
        if killed:
            emit(_log, GpuOrphansKilled(killed=tuple(killed.values())))
        return list(killed.values())

    def release(self, seconds: float) -> None:
        """Release the GPUs for this long; 0 takes them again."""
        if seconds:
            self.reader.release(seconds)
        else:
            self.reader.resume()
        emit(_log, GpuReleased(seconds=seconds))


def _visible(commands: Commands) -> dict[str, Sequence[str] | None]:
    """Return the GPUs that each engine may use, as its variables name them; None is all."""
    return {name: visible_gpus(built.env) for name, built in commands.items()}
