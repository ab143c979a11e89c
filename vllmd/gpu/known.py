"""Who holds the GPUs of the host, who may use them, and what would be left of them."""

from collections.abc import Callable, Mapping, Sequence

from vllmd.config.command import Commands
from vllmd.config.gpus import gpus_used
from vllmd.config.memory import share_of
from vllmd.config.model import Config, EngineConfig
from vllmd.config.sleep import turns_with
from vllmd.engine.state_machine import HOLDS
from vllmd.engine.status import EngineStatus
from vllmd.gpu import fit
from vllmd.gpu.latest import Device, LatestReadings, MemoryListing
from vllmd.gpu.memory_shares import Holder
from vllmd.gpu.sources import DEMO
from vllmd.gpu.state_file import GpuState
from vllmd.util.clock import Clock


class KnownGpus:
    """As they were read last; whoever has them read is one."""

    latest: LatestReadings
    source: str
    _config: Config
    _commands: Commands
    _visible: dict[str, Sequence[str] | None]
    _engines: Callable[[], Sequence[EngineStatus]]
    _clock: Clock
    _state: GpuState
    _holders: dict[str, tuple[Holder, ...]]

    def listings(self) -> Mapping[str, MemoryListing] | None:
        """Return who holds memory, by UUID; None if it was not listed lately."""
        return self.latest.listings(self._clock.monotonic())

    @property
    def mismatch(self) -> str | None:
        """The sentence that says that the driver was changed, and what starts now cannot use it."""
        return self._state.mismatch

    def uses_gpus(self, engine: EngineConfig) -> bool:
        """Tell whether an engine may use a GPU at all."""
        return self._visible[engine.name] != ()

    def holders(self, uuid: str) -> tuple[Holder, ...]:
        """Return the processes that hold memory of a GPU, as they were listed last."""
        return self._holders.get(uuid, ()) if self.listings() is not None else ()

    def idle_engines(self) -> set[str]:
        """Return the engines that have no requests: they use no GPU now."""
        return {engine.name for engine in self._engines() if engine.is_idle}

    def engine_bytes(self, name: str) -> int | None:
        """Return how much an engine holds on all GPUs; None if nobody knows."""
        if self.listings() is None:
            return None
        return sum(h.bytes or 0 for each in self._holders.values() for h in each if h.is_of(name))

    def is_process_of(self, name: str, pid: int) -> bool:
        """Tell whether a process is an engine's, or was and still has memory."""
        return any(p == pid and e == name for (p, _), e in self._state.processes.items())

    def engine_has_held(self, name: str) -> bool:
        """Tell whether a process of an engine has been seen with GPU memory since it was up."""
        return name in self._state.processes.values()

    def values(self, device: Device) -> dict[str, float]:
        """Return the figures of a GPU by `Row.key`; none is old."""
        return self.latest.values(device.uuid, self._clock.monotonic())

    def gpus_of(self, engine: EngineConfig) -> list[Device]:
        """Return the GPUs that an engine has memory on, or had; else those that it would use."""
        devices, used = self.latest.devices, self._used_by(engine.name) or self.seen_on(engine)
        if used:
            return used
        whole = sorted((d for d in devices.values() if d.parent is None), key=lambda d: d.index)
        names = self._visible.get(engine.name)
        named = [d for name in names or () for d in devices.values() if d.is_named(name)]
        return (whole if names is None else named)[: gpus_used(engine)]

    def _used_by(self, name: str) -> list[Device]:
        held = {uuid for uuid, each in self._holders.items() if any(h.is_of(name) for h in each)}
        return [device for uuid, device in self.latest.devices.items() if uuid in held]

    def seen_on(self, engine: EngineConfig) -> list[Device]:
        """Return the GPUs that it had when it was last ready, with the command that it has now."""
        devices, (command, uuids) = self.latest.devices, self._state.held.get(engine.name, ("", ()))
        built = self._commands.get(engine.name)
        known = built is not None and built.hash == command and devices.keys() >= set(uuids)
        return [devices[uuid] for uuid in uuids] if known else []

    def margin(self, device: Device, engine: EngineConfig, *, now: bool = False) -> float | None:
        """Return what would be left on a GPU if an engine started again, in bytes.

        Those that it takes turns with sleep then; with `now`, one that is awake is not counted.
        """
        listing = (self.listings() or {}).get(device.uuid)
        held = self.holders(device.uuid)
        own = sum(h.bytes or 0 for h in held if h.is_of(engine.name))
        if listing is None or (engine.is_stand_in and not own and self.source != DEMO):
            return None  # it is not known, or it uses no GPU
        own += self.weights_margin(device, engine)
        awake = {e.name for e in self._engines() if e.state in HOLDS} if now else set()
        own += fit.turns_bytes(held, set(turns_with(engine, self._config.engines)) - awake)
        memory, share = listing.memory, share_of(engine)
        free = {"total": memory.total, "reserved": memory.reserved, "free": memory.free}
        return fit.margin_bytes(**free, own=own, share=share)

    def weights_margin(self, device: Device, engine: EngineConfig) -> int:
        """Return by what weights that are kept there are more room for a start than is free."""
        held = [h.bytes or 0 for h in self.holders(device.uuid) if h.is_weights_of(engine.name)]
        gpus = gpus_used(engine)
        return fit.weights_bytes(held, gpus=gpus) if held or engine.preload else 0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._clock.time()
