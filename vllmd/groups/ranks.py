"""What a head knows of the parts of its engine by what they do: their steps, and what they answer.

A step is the best sign of life of another host: it needs no vllmd there, no password and no open
port. With tensor parallelism every step needs all hosts, with data parallelism those of a rank only
its own.
"""

from collections.abc import Callable, Mapping

from vllmd.config.group import DATA, GroupConfig
from vllmd.engine.liveness.rank_probe import AskRank, Heeds, RankProbes, in_words
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.state_machine import State
from vllmd.groups.own import OwnEngine
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import Limits
from vllmd.util.loop_lag import LoopLag

LAST_ASK_S = 60.0
"""So long before a generation is ended for a host that is cut off, a quiet engine is asked for a
token, or a quarter of `hang_s` before: one that answers has not lost that host. So it is asked
where only that host still hears this one: a token that does not come is a stall."""


class GroupRanks:
    """Of one head; `is_older` tells whether what runs is no part of the group."""

    def __init__(
        self,
        group: GroupConfig,
        peers: Mapping[int, PeerWatch],
        lag: LoopLag,
        own: Callable[[], OwnEngine],
        is_older: Callable[[], bool],
        limits: Callable[[], Limits],
    ) -> None:
        self._group, self._peers, self._own, self._is_older = group, peers, own, is_older
        self._is_data = group.mode == DATA
        count = len(group.hosts) * group.ranks_per_host if self._is_data else 1
        self.probes = RankProbes(count, lag)
        self._limits = limits
        self._ask: AskRank | None = None
        self._heeds: Heeds | None = None
        self._shown: Mapping[str, RankProgress] = {}

    def use_probe(self, ask: AskRank, heeds: Heeds) -> None:
        """Ask ranks so from now on."""
        self._ask, self._heeds = ask, heeds

    async def run(self) -> None:
        """Ask all ranks again and again, until cancelled."""
        heeds = self._are_told_apart if self._is_data else None
        await self.probes.run(self._ask_one, heeds, self._is_to_ask)

    async def _are_told_apart(self, count: int) -> bool | None:
        return None if self._heeds is None else await self._heeds(count)

    async def _ask_one(self, rank: int) -> str | None:
        """Ask one rank for a token; nobody does before it is known how."""
        if self._ask is None:
            return None
        return await self._ask(rank if self._is_data else None)

    def _is_to_ask(self) -> bool:
        if self._own().status.state is not State.READY or self._is_older():
            return False
        limits = self._limits()
        end_s = limits.end_s
        last_s = max(limits.red_s, end_s - min(LAST_ASK_S, end_s / 4))
        return self._is_data or any(p.known().unanswered_s >= last_s for p in self._peers.values())

    def saw(self, reading: Reading) -> None:
        """Note what the head's page shows of its ranks."""
        if reading.answer is not PageAnswer.PAGE:
            return
        before, self._shown = self._shown, reading.ranks
        for name, shown in reading.ranks.items():
            known = before.get(name)
            if known is not None and shown.steps > known.steps:
                self._worked(name, reading.at)
        if self._is_data:
            self.probes.saw(reading.ranks, reading.at, self._is_idle)

    def _worked(self, rank: str, at: float) -> None:
        for place, peer in self._peers.items():
            if not self._is_data or (rank.isdecimal() and self._place(int(rank)) == place):
                peer.worked(at)

    def _place(self, rank: int) -> int:
        return rank // self._group.ranks_per_host

    def _is_idle(self, rank: int) -> bool:
        """Tell whether a rank, or all of its host's, are known to do nothing."""
        peer = self._peers.get(self._place(rank))
        told = self._own() if peer is None else peer.known().heard
        return told is not None and (told.gpus_busy is False or rank in told.idle_ranks)

    def hung(self) -> tuple[str, str] | None:
        """Return a host with a rank that does nothing, and that in words; None if there is none."""
        found = self.probes.hung() if self._is_data else None
        if found is None:
            return None
        host, why = self._in_words(*found)
        return host, why

    def doubt(self) -> str | None:
        """Say which rank has not answered yet, and may be busy; None if all did."""
        found = self.probes.slow() if self._is_data else None
        return self._in_words(*found)[1] if found is not None else None

    def _in_words(self, rank: int, waited_s: float) -> tuple[str, str]:
        host = self._group.hosts[self._place(rank)].name
        return host, in_words(f"rank {rank} on {host}", waited_s)
