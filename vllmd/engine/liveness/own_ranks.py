"""The data parallel ranks of an engine of one host: does each answer? See `rank_probe.py`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from vllmd.config.model import LivenessConfig
from vllmd.engine.answers import Answers
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.idle_time import OwnRequests
from vllmd.engine.liveness.rank_probe import SLOW_S, RankProbes, RanksToAsk, in_words
from vllmd.engine.liveness.rank_work import RankLooks
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, Reading
from vllmd.engine.liveness.stall_detector import Assessment, Verdict
from vllmd.util.loop_lag import LoopLag

T = TypeVar("T")


class OwnRanks:
    """Of one run, once it serves. What it asks is no request of a client."""

    def __init__(
        self, lag: LoopLag, answers: Answers, activity: Callable[[], ProcessActivity | None]
    ) -> None:
        """`activity` is asked only if GPUs are idle while a rank has not answered."""
        self._looks = RankLooks(lag.clock.monotonic, activity)
        self._lag, self._answers = lag, answers
        self._asked: RanksToAsk | None = None
        self._probes = RankProbes(1, lag, working=False)
        self._steps = self._in_flight = self._ended = 0
        self.own = OwnRequests()
        self.doubt: str | None = None
        """Which rank has not answered yet, and may be busy; None if all did."""

    def look(
        self,
        asked: RanksToAsk | None,
        reading: Reading,
        limits: LivenessConfig,
        gpu: EngineGpus,
    ) -> Assessment | None:
        """Ask the ranks that are due; return the verdict on one that does nothing, if there is one.

        Without counts of all ranks none is asked: nobody could tell one that is busy.
        """
        self.own = OwnRequests(self._steps, self._in_flight + self._ended)
        self._answers.asked, self._ended = self.own.most, 0
        if asked is not self._asked:
            self.close()
            self._asked = asked
            self._probes = RankProbes(asked.count if asked else 1, self._lag, working=False)
        if asked is None or reading.answer is not PageAnswer.PAGE:
            return None
        if reading.sleeping or len(reading.ranks) < asked.count:
            self.close()
            return None
        probes = self._probes
        probes.hang_s, probes.idle_s = limits.hang_s, limits.gpu_stall_s

        def is_idle(rank: int) -> bool:
            idle = gpu.busy() is False or rank in gpu.idle_ranks()
            return idle and self._looks.is_still(rank, gpu.rank_pids())

        probes.saw(reading.ranks, reading.at, is_idle)
        probes.look(self._ask, self._heeds)
        slow, hung = probes.slow(), probes.hung()
        self.doubt = in_words(f"rank {slow[0]}", slow[1]) if slow else None
        if hung is None:
            return None
        reason = in_words(f"rank {hung[0]}", hung[1])
        return Assessment(Verdict.STALLED, reason, str(hung[0]), asked=True)

    async def _ask(self, rank: int) -> str | None:
        """Ask one rank; one that is slow is taken for a client's request after a while."""
        assert self._asked is not None
        return await self._counted(self._asked.ask(rank), lambda problem: problem is None)

    async def _heeds(self, count: int) -> bool | None:
        """Ask whether a request goes to the rank that it names; one that does not is answered."""
        assert self._asked is not None
        return await self._counted(self._asked.heeds(count), lambda heeds: heeds is False)

    async def _counted(self, question: Awaitable[T], made_step: Callable[[T], bool]) -> T:
        """Return the answer; a step is counted as ours while it may be made, and if it was."""
        asking = asyncio.ensure_future(question)
        self._steps += 1
        is_ours = False
        try:
            await self._is_in_flight(asking)
            found = await asking
            is_ours = made_step(found)
        finally:
            asking.cancel()
            self._steps -= not is_ours
        return found

    async def _is_in_flight(self, asking: "asyncio.Future[Any]") -> None:
        self._in_flight += 1
        try:
            await self._lag.wait(asking, SLOW_S)
        finally:
            self._in_flight -= 1
            self._ended += 1

    def close(self) -> None:
        """Give up what is under way."""
        self._probes.forget()
        self.doubt = None
