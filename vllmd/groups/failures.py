"""By which end a group failed first, and on which host: the end that the others hide."""

from collections.abc import Callable, Mapping

import attrs
import structlog

from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.exits import Exit
from vllmd.events.base import emit
from vllmd.events.groups import GroupFailed
from vllmd.groups import rules
from vllmd.groups.page import EndOfPart, GroupPage
from vllmd.groups.peers import PeerWatch
from vllmd.util.loop_lag import LoopLag

ASK_AGAIN_S = 0.5
FIRST_CAUSE_S = 15.0
"""How long a head that ended waits for what the others say of their ends: a tree takes seconds."""
PEERS_FAULT = frozenset({"peer_lost", "engine_core_died", "nccl_failure", "worker_died", "unknown"})
"""Causes behind which an earlier end on another host may be."""
SAYS_PEER = frozenset({"peer_lost", "nccl_failure"})
"""Causes that say themselves that another host was the first, whose main process may end later."""
FOLLOWS = PEERS_FAULT - {"worker_died", "engine_core_died"} | {
    *("killed", "group_lost", "member_ended", "rendezvous_timeout", "dist_unreachable"),
}
"""What a member says when it is the head that is gone, or nothing went wrong."""


class GroupFailures:
    """Of one group, as one of its hosts knows them."""

    def __init__(
        self,
        host: str,
        peers: Mapping[int, PeerWatch],
        lag: LoopLag,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._host, self._peers, self._lag, self._log = host, peers, lag, log
        self.last: tuple[str, EndOfPart] | None = None
        """The host whose run ended first when the group failed last, and how."""
        self._has_heard = False

    def hear(self, page: GroupPage | None, generation: str | None) -> None:
        """Of a member: tell here by which end the group failed, as the head says, once.

        `generation` is that of the run that this host has or had last. What the head says first is
        of any time: an earlier vllmd here may have told it, unless it is how that run ended.
        """
        if page is None:
            return
        is_first, self._has_heard = not self._has_heard, True
        if page.failure is None or page.failed_host is None:
            return
        before, of = self.last, page.failure.generation
        self.last = page.failed_host, page.failure
        if (before is None or before[1].generation != of) and (not is_first or of == generation):
            self._tell()

    def _tell(self) -> None:
        if self.last is None:
            return
        host, end = self.last
        emit(
            self._log,
            GroupFailed(
                host=host,
                text=end.text,
                cause=end.cause,
                explanation=end.explanation,
                advice=end.advice,
                evidence=end.evidence,
            ),
        )

    async def first_cause(self, end: Exit, lost: str | None, ask: Callable[[], None]) -> Exit:
        """Of a head: have all asked how their runs of a generation ended, and take the first end.

        `lost` is the host for which this run was ended, if it was.
        """
        asked_at = self._lag.watched()
        generation, own = end.run_id, end_of(end, end.run_id, self._lag.clock.time())
        until = asked_at + FIRST_CAUSE_S
        while self._lag.watched() < until and not self._all_told(asked_at, generation, own):
            ask()
            await self._lag.clock.sleep(ASK_AGAIN_S)
        own = end_of(end, generation, self._lag.clock.time())
        found = rules.first_end(generation, self._host, own, self._aged()) or (self._host, own)
        if found[1] is own and own.cause in SAYS_PEER:
            found = self._trouble_of(generation) or found
        self.last = found
        if lost is not None and self.last[0] == self._host:
            self.last = lost, own  # nothing was heard of it any more
        self._tell()
        host, first = self.last
        if host == self._host or first is own or first.cause is None:
            return end
        return attrs.evolve(end, diagnosis=_diagnosis(host, first))

    def _trouble_of(self, generation: str) -> tuple[str, EndOfPart] | None:
        """Return a host whose part failed by itself, however late it ended, and how."""
        pages = [peer.page for peer in self._peers.values() if peer.page is not None]
        for page in pages:
            for end in (page.trouble, page.ended):  # one that was asked for has no cause
                known = end is not None and end.cause is not None and end.cause not in FOLLOWS
                if end is not None and known and end.generation == generation:
                    return page.host, end
        return None

    def _aged(self) -> list[GroupPage]:
        """Return the newest page of each, with ages as they are now."""
        now, found = self._lag.watched(), []
        for peer in self._peers.values():
            page = peer.page
            if page is not None and page.ended is not None and peer.asked_at is not None:
                ago_s = page.ended.ago_s + now - peer.asked_at
                found.append(attrs.evolve(page, ended=attrs.evolve(page.ended, ago_s=ago_s)))
        return found

    def _all_told(self, asked_at: float, generation: str, own: EndOfPart) -> bool:
        """Tell whether nothing more is to be learned of how a generation ended."""
        pages = [peer.page for peer in self._peers.values() if peer.page is not None]
        if any(
            p.ended and p.ended.generation == generation and not p.ended.requested for p in pages
        ):
            return True
        if self._trouble_of(generation) is not None and own.cause in SAYS_PEER:
            return True
        newer = all((p.asked_at or 0) > asked_at or p.page is None for p in self._peers.values())
        return newer and own.cause not in PEERS_FAULT


def end_of(end: Exit, generation: str, now: float) -> EndOfPart:
    """Return what others are told of an end; `now` is in seconds since the epoch."""
    why = end.diagnosis
    return EndOfPart(
        generation=generation,
        ago_s=max(0.0, now - end.at),
        requested=end.requested,
        text=end.describe(),
        cause=why.cause if why else None,
        kind=str(why.kind) if why else None,
        explanation=why.explanation if why else None,
        advice=why.advice if why else None,
        evidence=why.evidence if why else (),
    )


def own_trouble(end: Exit, generation: str, now: float) -> EndOfPart | None:
    """Return what a member's run had said of a failure of its own; None if nothing it had."""
    why = end.diagnosis
    if why is None or why.cause in FOLLOWS:
        return None
    text = "failed, and was ended with its group"
    return attrs.evolve(end_of(end, generation, now), text=text)


def _diagnosis(host: str, first: EndOfPart) -> Diagnosis:
    """Return what another host found out of its end, as it is told here."""
    try:
        kind = Kind(first.kind) if first.kind else Kind.UNKNOWN
    except ValueError:
        kind = Kind.UNKNOWN
    return Diagnosis(
        cause=first.cause or "unknown",
        kind=kind,
        explanation=f"On {host}: {first.explanation or first.text}",
        advice=f"On {host}: {first.advice}" if first.advice else "",
        evidence=first.evidence,
    )
