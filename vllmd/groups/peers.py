"""Another host of a group, asked again and again: its page, and since when there was none."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address

from vllmd.config.fleet import FleetHost
from vllmd.engine.group_interface import UNREACHABLE, UNREADABLE
from vllmd.fleet.pages import HostPageError, HostPages
from vllmd.groups.own import Identity, differences
from vllmd.groups.page import GroupPage, from_json
from vllmd.groups.reach import is_cut, literal, plain, resolve
from vllmd.groups.rules import GONE_S, GroupPeer

MAX_BYTES = 256 * 1024
"""Of one page."""


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
        self._path = path_of(engine)
        self._now = now
        self._silent_since: float | None = now()
        self._cut_since: float | None = None
        self._unconnected_since: float | None = None
        self._named = literal(host.name)
        self._resolved = self._named
        self._is_unreadable = self._is_reached = False
        self._worked_at: float | None = None
        self._came_at: float | None = None

    @property
    def name(self) -> str:
        """The host as it is named in the list."""
        return self.host.name

    async def ask(self, pages: HostPages | None, problem: str) -> None:
        """Ask for its page once; `problem` is why nobody can ask, if `pages` is None."""
        asked_at = self._now()
        try:
            if pages is None:
                raise HostPageError(self.host, problem, by_access=True)
            shown = await pages.get_json(self.host, self._path, max_bytes=MAX_BYTES)
            page = _read(self, shown)
        except HostPageError as error:
            self._missed(error)
            cut = False if error.status is not None else await self._is_cut()
            self._looked(error, cut)
            return
        self.page, self.asked_at = page, asked_at
        self.heard()
        if not self._resolved:
            self._resolved = await resolve(self.name)

    def heard(self) -> None:
        """Note that it has answered."""
        self.problem, self.refuses_access = "", False
        self._silent_since = self._cut_since = None

    def _missed(self, error: HostPageError) -> None:
        self.problem, self.refuses_access = error.reason, error.by_access
        if self._silent_since is None:
            self._silent_since = self._now()

    async def _is_cut(self) -> bool | None:
        """Tell whether nothing comes back from the host itself; None if that is not known.

        Its addresses of before are good enough where no name server answers.
        """
        if not self._named:
            self._resolved = await resolve(self.name) or self._resolved
        return await is_cut(self._resolved, self.host.port)

    def _looked(self, error: HostPageError, cut: bool | None) -> None:
        answers = error.status is not None or error.by_access
        self._is_unreadable = cut is None or (answers and not cut)
        self._is_reached = cut is False
        if not cut:
            self._cut_since = None
        elif self._cut_since is None:
            self._cut_since = self._now()

    @property
    def silence(self) -> str:
        """What stands in place of its state while it is silent."""
        return UNREADABLE if self._is_unreadable else UNREACHABLE

    @property
    def addresses(self) -> frozenset[str]:
        """All addresses that it is known by."""
        told = self.page.addresses if self.page is not None else ()
        return frozenset((*told, *self._resolved))

    def look(self, connected: Collection[str] | None) -> None:
        """Note to which addresses the own run is connected; None if that is not known.

        Before its page was read it is not known either: its engine may have other addresses.
        """
        if connected is None or self.page is None or not self.addresses.isdisjoint(connected):
            self._unconnected_since = None
        elif self._unconnected_since is None:
            self._unconnected_since = self._now()

    def worked(self, at: float) -> None:
        """Note that the engine made a step that needs this host: it is there, whoever hears it."""
        self._worked_at = at

    def asked_by(self, address: str, own: Collection[str] = ()) -> None:
        """Note that somebody asked for the own page: if it was this host, it is there.

        `own` are the addresses of the host that was asked.
        """
        with contextlib.suppress(ValueError):  # it is no address
            address = plain(ip_address(address))
        if address in self.addresses.difference(own):
            self._came_at = self._now()

    def begin(self) -> None:
        """Note that a run begins: it is connected to nobody yet."""
        self._unconnected_since = self._now()

    @property
    def is_connected(self) -> bool:
        """Whether the own run is connected to it, as far as that is known."""
        return self._unconnected_since is None

    def differences(self, own: Identity) -> Iterator[str]:
        """Yield what it has otherwise than this host, and ought to have alike."""
        if self.page is not None:
            yield from differences(self.name, self.page, own)

    def known(self) -> GroupPeer:
        """Return what the rules are told of it now."""
        now = self._now()

        def since(at: float | None, *known_at: float | None) -> float:
            found = [each for each in (at, *known_at) if each is not None]
            return 0.0 if at is None else max(now - max(found), 0.001)

        comes = self._came_at is not None and now - self._came_at < GONE_S
        return GroupPeer(
            page=self.page,
            silent_s=since(self._silent_since),
            cut_s=since(self._cut_since, self._worked_at, self._came_at),
            unanswered_s=since(self._cut_since, self._worked_at),
            unconnected_s=since(self._unconnected_since, self._worked_at),
            is_reached=self._is_reached or comes,
            problem=self.problem,
        )


def path_of(engine: str) -> str:
    """Return where a host has its page of an engine's group."""
    return f"/groups/{engine}"


def read_page(host: FleetHost, shown: object) -> GroupPage:
    """Read what a host answered. Raises: HostPageError: it makes no sense."""
    try:
        return from_json(shown)  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise HostPageError(host, f"its page makes no sense: {error!r}", status=200) from None


def _read(peer: PeerWatch, shown: object) -> GroupPage:
    """Read an answer. Raises: HostPageError: it makes no sense, or the lists of hosts differ."""
    page = read_page(peer.host, shown)
    if page.rank != peer.rank:
        raise HostPageError(
            peer.host,
            f"it takes itself for number {page.rank} of the hosts, and is number {peer.rank} here: "
            "the lists differ",
            status=200,
        )
    return page
