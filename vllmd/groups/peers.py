"""Another host of a group, asked again and again: its page, and since when there was none."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address

from vllmd.config.fleet import FleetHost
from vllmd.fleet.pages import HostPageError, HostPages
from vllmd.groups.page import GroupPage, from_json
from vllmd.groups.rules import GroupPeer

MAX_BYTES = 256 * 1024
RESOLVE_S = 5.0


class PeerWatch:
    """One other host. `now` gives watched seconds: what a late daemon misses is no silence."""

    def __init__(self, host: FleetHost, engine: str, rank: int, now: Callable[[], float]) -> None:
        self.host = host
        self.rank = rank
        self.page: GroupPage | None = None
        self.asked_at: float | None = None
        """When the newest answer was asked for."""
        self.problem = ""
        self.refuses_access = False
        """Whether it gave no page to whom it was asked as: a password or a certificate is wrong."""
        self._path = f"/groups/{engine}"
        self._now = now
        self._silent_since: float | None = now()
        self._cut_since: float | None = None
        self._unconnected_since: float | None = None
        self._resolved: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The host as it is named in the list."""
        return self.host.name

    async def ask(self, pages: HostPages | None, problem: str) -> None:
        """Ask for its page once; `problem` is why nobody can ask, if `pages` is None."""
        asked_at = self._now()
        try:
            if pages is None:
                raise HostPageError(self.host, problem)
            shown = await pages.get_json(self.host, self._path, max_bytes=MAX_BYTES)
            page = _read(self, shown)
        except HostPageError as error:
            self._missed(error)
            if self.page is None and not self._resolved:
                self._resolved = await _resolve(self.name)
            return
        self.page, self.asked_at = page, asked_at
        self.heard()

    def heard(self) -> None:
        """Note that it has answered."""
        self.problem, self.refuses_access = "", False
        self._silent_since = self._cut_since = None

    def _missed(self, error: HostPageError) -> None:
        now = self._now()
        self.problem, self.refuses_access = error.reason, error.by_access
        if self._silent_since is None:
            self._silent_since = now
        if error.reached:
            self._cut_since = None
        elif self._cut_since is None:
            self._cut_since = now

    @property
    def addresses(self) -> frozenset[str]:
        """All addresses that it is known by."""
        told = self.page.addresses if self.page is not None else ()
        return frozenset((*told, *self._resolved, *(_literal(self.name))))

    def look(self, connected: Collection[str] | None) -> None:
        """Note to which addresses the own run is connected; None if that is not known."""
        known = self.addresses
        if connected is None or not known or not known.isdisjoint(connected):
            self._unconnected_since = None
        elif self._unconnected_since is None:
            self._unconnected_since = self._now()

    def begin(self) -> None:
        """Note that a run begins: it is connected to nobody yet."""
        self._unconnected_since = self._now()

    @property
    def is_connected(self) -> bool:
        """Whether the own run is connected to it, as far as that is known."""
        return self._unconnected_since is None

    def known(self) -> GroupPeer:
        """Return what the rules are told of it now."""
        now = self._now()

        def since(at: float | None) -> float:
            return 0.0 if at is None else max(now - at, 0.001)

        return GroupPeer(
            page=self.page,
            silent_s=since(self._silent_since),
            cut_s=since(self._cut_since),
            unconnected_s=since(self._unconnected_since),
            problem=self.problem,
        )


def _read(peer: PeerWatch, shown: object) -> GroupPage:
    """Read an answer. Raises: HostPageError: it makes no sense, or the lists of hosts differ."""
    try:
        page = from_json(shown)  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise HostPageError(peer.host, f"its page makes no sense: {error!r}", status=200) from None
    if page.rank != peer.rank:
        raise HostPageError(
            peer.host,
            f"it takes itself for number {page.rank} of the hosts, and is number {peer.rank} here: "
            "the lists differ",
            status=200,
        )
    return page


def _literal(name: str) -> tuple[str, ...]:
    with contextlib.suppress(ValueError):
        return (str(ip_address(name)),)
    return ()


async def _resolve(name: str) -> frozenset[str]:
    """Return the addresses of a host; none where no name server answers in time."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError, UnicodeError):  # of a name such as a..b
        async with asyncio.timeout(RESOLVE_S):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            return frozenset(str(each[4][0]) for each in found)
    return frozenset()
