"""Does each data parallel rank answer? A rank that is gone leaves an API server that is green.

An API server shares requests out, and those that it gives to a rank that does nothing any more are
never answered, while its `/health` and its page say that all is well: the counts come from the
ranks themselves (seen, vLLM 0.32, over two hosts and on one). So each rank is asked for one token
now and then, by the header `X-data-parallel-rank`. One that does not answer and makes no step
either is gone: after `gpu_stall_s` if its GPUs, or all of its host's, are idle and its processes do
nothing, else after `hang_s`, as it may be overloaded.

A vLLM that does not know the header shares these requests out, too, and then nothing follows from
one that is late: so it is asked first for a rank that there is not, which one that knows refuses.
Source: vllm/entrypoints/generate/base/serving.py and vllm/v1/engine/input_processor.py of 0.32.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

import attrs

from vllmd.engine.liveness.reading import RankProgress
from vllmd.util.loop_lag import LoopLag
from vllmd.util.units import format_duration

EVERY_S = 15.0
"""How long after an answer, or a step that it made for others, a rank is asked again: a dead one is
to be seen within a minute."""
LOOK_S = 1.0
GAP_S = 15.0
"""Between two pages no more than this counts: what nobody saw may have been work."""
SLOW_S = 30.0
"""A rank that makes no step for so long with a request of ours is told of, whatever it does."""
AskRank = Callable[[int | None], Awaitable[str | None]]
"""Sends a request for one token to a rank, or to any. Returns None if it was answered, else what
came."""
Ask = Callable[[int], Awaitable[str | None]]
Heeds = Callable[[int], Awaitable[bool | None]]
"""Tells whether an engine of so many ranks heeds the header; None if that did not show."""


@attrs.frozen
class RanksToAsk:
    """The data parallel ranks behind one API server, and how they are asked."""

    count: int
    ask: AskRank
    heeds: Heeds


def in_words(rank: str, waited_s: float) -> str:
    """Say of a rank that it does nothing with a request of ours."""
    why = f"{rank} does nothing: a request for one token to it was not answered "
    return f"{why}for {format_duration(waited_s)}, and it made no step"


@attrs.define
class _Probe:
    """A request to one rank. `at` is of the newest page since, in watched seconds."""

    at: float
    task: "asyncio.Task[str | None]"
    progress: tuple[float, float] | None = None
    """Steps and tokens of the rank, as that page showed them, or the last one before it."""
    still_s: float = 0.0
    """For how long pages have shown no step."""
    judged_s: float = 0.0
    """For how long of that it is judged here."""
    idle_s: float = 0.0
    """For how long the GPUs of its host were idle besides."""

    def saw(self, progress: tuple[float, float], at: float, *, idle: bool, judged: bool) -> None:
        seen_s, before = min(at - self.at, GAP_S), self.progress
        self.at, self.progress = at, progress
        if before is None:
            return
        stands = progress == before  # else it is busy, and our request waits its turn
        self.still_s = self.still_s + seen_s if stands else 0.0
        self.judged_s = self.judged_s + seen_s if stands and judged else 0.0
        self.idle_s = self.idle_s + seen_s if stands and idle else 0.0


class RankProbes:
    """Of one API server; `hang_s` is how long a rank may do nothing with a request of ours,
    `idle_s` the same with idle GPUs, which are not considered if that is 0."""

    def __init__(self, ranks: int, lag: LoopLag, *, working: bool = True) -> None:
        """Make it; `working` if a rank that shows requests is judged by `hang_s`, too.

        It may compute a long prompt, of which no step shows: who sees what GPUs do knows better.
        """
        self._working = working
        self.hang_s, self.idle_s = 600.0, 40.0
        self._ranks, self._lag = ranks, lag
        self._pending: dict[int, _Probe] = {}
        self._due: dict[int, float] = {}
        self._shown: dict[int, tuple[float, float]] = {}
        self._heeding: asyncio.Task[bool | None] | None = None
        self._heeding_due = -math.inf
        self._heeds: bool | None = None

    async def run(self, ask: Ask, heeds: Heeds | None, serves: Callable[[], bool]) -> None:
        """Ask all ranks again and again while the engine `serves`, until cancelled."""
        try:
            while True:
                if serves():
                    self.look(ask, heeds)
                else:
                    self.forget()
                await self._lag.clock.sleep(LOOK_S)
        finally:
            self.forget()

    def look(self, ask: Ask, heeds: Heeds | None) -> None:
        """Ask each rank that is due, once it is known to be that rank which answers.

        Without `heeds` that is taken for granted.
        """
        now = self._lag.watched()
        if heeds is not None and not self._is_heeded(heeds, now):
            return
        for rank in range(self._ranks):
            probe = self._pending.get(rank)
            if probe is not None and probe.task.done():
                probe.task.exception()
                del self._pending[rank]
                self._due[rank] = now + EVERY_S
            elif probe is None and now >= self._due.get(rank, now):
                task = asyncio.ensure_future(ask(rank))
                self._pending[rank] = _Probe(now, task, self._shown.get(rank))

    def _is_heeded(self, heeds: Heeds, now: float) -> bool:
        if self._heeding is not None and self._heeding.done():
            failed = self._heeding.exception() is not None
            self._heeds = None if failed else self._heeding.result()
            self._heeding, self._heeding_due = None, now + EVERY_S
        if self._heeds is None and self._heeding is None and now >= self._heeding_due:
            self._heeding = asyncio.ensure_future(heeds(self._ranks))
        return self._heeds is True

    def saw(
        self, ranks: Mapping[str, RankProgress], at: float, idle: Callable[[int], bool]
    ) -> None:
        """Note what a page that was asked for at `at` showed of each rank.

        `idle` tells of a rank whether the GPUs of its host are known to be idle.
        """
        for rank in range(self._ranks):
            if (shown := ranks.get(str(rank))) is None:
                continue
            before, progress = self._shown.get(rank), (shown.steps, shown.tokens)
            self._shown[rank] = progress
            if before is not None and progress != before:  # it works, so nobody has to ask
                self._due[rank] = max(at + EVERY_S, self._due.get(rank, 0.0))
            probe = self._pending.get(rank)
            if probe is not None and at > probe.at:
                judged = self._working or not shown.has_work
                probe.saw(progress, at, idle=idle(rank), judged=judged)

    def hung(self) -> tuple[int, float] | None:
        """Return a rank that does nothing with a request of ours, and for how long; None if none.

        Time of which no page shows its steps does not count: it may be busy.
        """
        for rank, probe in self._pending.items():
            idle = 0 < self.idle_s <= probe.idle_s
            if (idle or probe.judged_s >= self.hang_s) and not probe.task.done():
                return rank, probe.still_s
        return None

    def slow(self) -> tuple[int, float] | None:
        """Return a rank that makes no step with a request of ours, and may be busy."""
        for rank, probe in self._pending.items():
            if probe.still_s >= SLOW_S and not probe.task.done():
                return rank, probe.still_s
        return None

    def forget(self) -> None:
        """Give up what is under way; what serves next may be another vLLM."""
        for task in (self._heeding, *(probe.task for probe in self._pending.values())):
            if task is not None:
                task.cancel()
        self._pending.clear()
        self._due.clear()
        self._shown.clear()
        self._heeding, self._heeding_due, self._heeds = None, -math.inf, None
