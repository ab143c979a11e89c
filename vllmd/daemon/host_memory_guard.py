"""Lets an engine give its memory back before the host locks up, where the GPU shares its memory."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import structlog

from vllmd.engine.state_machine import ENDED, ENDING, SERVING, State
from vllmd.engine.supervisor import Supervisor
from vllmd.errors import HeldError
from vllmd.events.base import emit
from vllmd.events.gpu import GpuHostMemoryLow
from vllmd.gpu.host_memory_policy import HostMemoryPolicy, MemoryHolder, Remedy
from vllmd.gpu.service import GpuService
from vllmd.util.clock import Clock
from vllmd.util.parts import Part

EVERY_S = 1.0
SELDOM_S = 30.0
"""How often it is asked whether a GPU shares the host's memory."""
_SERVED = SERVING | {State.UNREACHABLE}

_log = structlog.get_logger()


class HostMemoryGuard:
    """Looks once a second at such a host; it acts below `floor`, a share of all memory."""

    def __init__(
        self,
        gpus: GpuService,
        supervisors: Callable[[], Mapping[str, Supervisor]],
        floor: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._gpus = gpus
        self._supervisors = supervisors
        self._floor = floor
        self._clock = clock
        self._guard = HostMemoryPolicy()
        self._told = False

    def parts(self) -> Iterator[Part]:
        """Yield what is to run."""
        yield Part("host_memory_guard", self.run)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S if await self.look() else SELDOM_S)

    async def look(self) -> bool:
        """Look once, and act; returns whether a GPU shares the host's memory."""
        shared = [d for d in self._gpus.latest.devices.values() if d.unified]
        if not shared:
            return False
        values, read_at = self._gpus.values(shared[0]), self._gpus.latest.read_at
        available, total = values.get("memory_free_bytes"), values.get("memory_total_bytes", 0.0)
        floor = self._floor() * total
        states = [each.status.state for each in self._supervisors().values()]
        if any(state in ENDING for state in states):
            available = None  # its memory comes back: what is read after that counts
        low = read_at is not None and self._guard.is_low(available, floor, read_at)
        if available is None or not low:
            self._told = False
        else:
            await self._act(available, floor, total)
        return True

    async def _act(self, available: float, floor: float, total: float) -> None:
        supervisors = self._supervisors()
        holders, now = self._holders(supervisors), self._clock.monotonic()
        chosen = self._guard.choose(holders, floor - available, total, now)
        if chosen is None and self._told:
            return
        self._told = True
        emit(
            _log,
            GpuHostMemoryLow(
                engine=chosen[0].name if chosen else None,
                remedy=str(chosen[1]) if chosen else "none",
                available_bytes=int(available),
                floor_bytes=int(floor),
            ),
        )
        if chosen is not None:
            await _end(supervisors[chosen[0].name], chosen[1])

    def _holders(self, supervisors: Mapping[str, Supervisor]) -> list[MemoryHolder]:
        found = []
        for name, supervisor in supervisors.items():
            status = supervisor.status
            if status.state not in ENDED | ENDING and status.run_id is not None:
                held = self._gpus.engine_bytes(name) or 0
                serves = status.state in _SERVED
                found.append(MemoryHolder(name, held, status.since, serves))
        return found


async def _end(supervisor: Supervisor, remedy: Remedy) -> None:
    if remedy is Remedy.RESTART:
        try:
            supervisor.restart()
        except HeldError:  # not its fault: the next daemon starts it
            supervisor.stop()
        return
    supervisor.stop()
    with contextlib.suppress(OSError):  # the next daemon would start it
        await supervisor.saved()
