"""Tells once that the page of another host cannot be read, and once that it can be again."""

from collections.abc import Iterable

import structlog

from vllmd.events.base import emit
from vllmd.events.groups import GroupHostHeard, GroupHostSilent
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import LOST_S


class Silences:
    """Of one group."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._since: dict[str, float] = {}
        """Hosts of whose silence was told, and when it began, in watched seconds."""

    def look(self, peers: Iterable[PeerWatch], now: float) -> None:
        """Tell what is new at `now`."""
        for peer in peers:
            silent_s = peer.known().silent_s
            if silent_s >= LOST_S and peer.name not in self._since:
                self._since[peer.name] = now - silent_s
                how, problem = peer.silence, peer.problem
                emit(self._log, GroupHostSilent(host=peer.name, how=how, problem=problem))
            elif not silent_s and (since := self._since.pop(peer.name, None)) is not None:
                emit(self._log, GroupHostHeard(host=peer.name, after_s=round(now - since, 1)))
