"""Does each data parallel rank answer? A rank that is gone leaves a head that is green.

A head shares requests out, and those that it gives to a rank that does nothing any more are never
answered, while its `/health` and its page say that all is well: the counts come from the ranks
themselves (seen, vLLM 0.32). So each rank is asked for one token now and then, by the header
`X-data-parallel-rank`. One that does not answer and makes no step either is gone.
Source of the header: vllm/entrypoints/generate/base/serving.py of 0.32.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import attrs

from vllmd.engine.liveness.reading import RankProgress
from vllmd.util.loop_lag import LoopLag

EVERY_S = 15.0
"""How long after an answer a rank is asked again: a dead one is to be seen within a minute."""
LOOK_S = 1.0
AskRank = Callable[[int], Awaitable[str | None]]
"""Sends a request for one token to a rank. Returns None if it was answered, else what came."""


@attrs.define
class _Probe:
    """A request to one rank. `at` is in watched seconds."""

    at: float
    task: "asyncio.Task[str | None]"
    progress: tuple[float, float] | None = None
    """Steps and tokens of the rank, as the first page after that showed them."""


class RankProbes:
    """Of one head; `limit_s` is how long a rank may do nothing with a request of ours."""

    def __init__(self, ranks: int, lag: LoopLag) -> None:
        self.limit_s = 40.0
        self._ranks, self._lag = ranks, lag
        self._pending: dict[int, _Probe] = {}
        self._due: dict[int, float] = {}

    async def run(self, ask: AskRank, serves: Callable[[], bool]) -> None:
        """Ask all ranks again and again while the engine `serves`, until cancelled."""
        try:
            while True:
                if serves():
                    self._look(ask)
                else:
                    self.forget()
                await self._lag.clock.sleep(LOOK_S)
        finally:
            self.forget()

    def _look(self, ask: AskRank) -> None:
        now = self._lag.watched()
        for rank in range(self._ranks):
            probe = self._pending.get(rank)
            if probe is not None and probe.task.done():
                probe.task.exception()
                del self._pending[rank]
                self._due[rank] = now + EVERY_S
            elif probe is None and now >= self._due.get(rank, now):
                self._pending[rank] = _Probe(now, asyncio.ensure_future(ask(rank)))

    def saw(self, ranks: Mapping[str, RankProgress], at: float) -> None:
        """Note what a page that was asked for at `at` showed of each rank."""
        for rank, probe in self._pending.items():
            shown = ranks.get(str(rank))
            if shown is None or at <= probe.at:
                continue
            progress = shown.steps, shown.tokens
            if probe.progress is not None and progress != probe.progress:
                probe.at = at  # it makes steps: it is busy, and our request waits its turn
            probe.progress = progress

    def hung(self) -> tuple[int, float] | None:
        """Return a rank that does nothing with a request of ours, and for how long; None if none.

        Without a page that shows its steps nothing is said of a rank: it may be busy.
        """
        now = self._lag.watched()
        for rank, probe in self._pending.items():
            waited_s = now - probe.at
            if waited_s >= self.limit_s and probe.progress is not None and not probe.task.done():
                return rank, waited_s
        return None

    def forget(self) -> None:
        """Give up what is under way."""
        for probe in self._pending.values():
            probe.task.cancel()
        self._pending.clear()
        self._due.clear()
