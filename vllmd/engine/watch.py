"""Follow a running engine: through loading to ready, and into silence and back."""

from collections.abc import Awaitable, Callable

import attrs

from vllmd.clock import Clock
from vllmd.engine.follow import LogFollower
from vllmd.engine.ledger import Ledger
from vllmd.engine.phases import later_phase
from vllmd.engine.state import Event, State
from vllmd.shim.protocol import RunRecord

LOADING_POLL_S = 0.5
SILENT_POLLS = 3
"""So many polls in a row without an answer make an engine unreachable: one may be lost to load."""


@attrs.frozen
class Probes:
    """What is asked of a running engine; each returns whether it answered."""

    loading: Callable[[], Awaitable[bool]]
    serving: Callable[[], Awaitable[bool]]
    owns_port: Callable[[int], bool | None]
    """Whether a process below that shim listens on the engine's port; None if not known."""
    forget: Callable[[], None]
    """Told when the engine is gone, so that nothing read from it is shown any longer."""


@attrs.frozen
class Watch:
    """One run of an engine; `run` lasts until it is cancelled."""

    ledger: Ledger
    probes: Probes
    clock: Clock
    poll_s: float
    port: int

    async def run(self, run: RunRecord, *, adopted: bool) -> None:
        """Follow the engine of `run`; `adopted` if another daemon started it."""
        await self._until_ready(run)
        self.ledger.ready(None if adopted else run["started_at"])
        silent = 0
        while True:
            await self.clock.sleep(self.poll_s)
            if await self.probes.serving():
                silent = 0
                if self.ledger.state is State.UNREACHABLE:
                    self.ledger.to(Event.ANSWERED)
            else:
                silent += 1
                if silent == SILENT_POLLS:
                    self.ledger.to(Event.WENT_SILENT)

    async def _until_ready(self, run: RunRecord) -> None:
        log = LogFollower(run["log"], run["log_offset"])
        while True:
            self.ledger.reach(later_phase(self.ledger.phase, log.read_lines()))
            if await self.probes.loading():
                if self.probes.owns_port(run["shim_pid"]) is not False:
                    return
                self.ledger.found(
                    f"port {self.port} is answered by a process that is not this engine: end it "
                    f"(ss -ltnp 'sport = {self.port}') or give the engine another port"
                )
            await self.clock.sleep(LOADING_POLL_S)
