"""What is asked of a running engine: the interface that the daemon fills."""

from typing import Protocol

from vllmd.engine.liveness.canary import Ask
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.rank_probe import RanksToAsk
from vllmd.engine.liveness.reading import ProcessActivity, Reading
from vllmd.engine.probes.sleep_routes import SleepRoutes
from vllmd.logs.reader import LogReader


class Probes(Protocol):
    """What is asked of a running engine."""

    @property
    def canary(self) -> Ask | None:
        """Sends a completion of one token; None if that is not wanted."""
        ...

    @property
    def ranks(self) -> RanksToAsk | None:
        """The data parallel ranks that are asked; None if none are."""
        ...

    @property
    def sleep_routes(self) -> SleepRoutes:
        """Put it to sleep and wake it, where its vLLM has them."""
        ...

    def gets_on(self) -> bool:
        """Tell whether a load gets on although nothing of it moves here: its group does."""
        ...

    async def loading(self) -> bool:
        """Tell whether its API answers, and what has to be loaded besides is."""
        ...

    async def serving(self) -> Reading:
        """Return what its page shows; never raises."""
        ...

    async def look_afresh(self, canary: bool) -> FreshLook:
        """Look once more, in a process that is not late, before anything is done."""
        ...

    async def printed(self, log: LogReader) -> list[str]:
        """Return what a loading engine printed since it was asked last."""
        ...

    def printing(self, run_id: str) -> str | None:
        """Return the line that a run has begun and not ended: a progress bar, mostly."""
        ...

    def owns_port(self, shim_pid: int) -> bool | None:
        """Tell whether a process below that shim listens on its port; None if not known."""
        ...

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        """Return what the processes below a shim, and the main one, have used; None: not known."""
        ...

    def pages(self) -> bytes:
        """Return its pages of the last minutes, as text."""
        ...

    def forget(self) -> None:
        """Forget what was read from it: the engine is gone."""
        ...
