"""A state of a group of hosts, as the search in group_search.py has it, and what it makes equal."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vllmd.groups import rules
from vllmd.groups.rules import LOST_S, Decision, GroupPeer, Limits, Own

HEAD = 0
LIMITS = Limits()
SILENT_S = (0.0, 1.0, LOST_S, LIMITS.end_s)
"""Levels of silence."""
FAILURES = 2
"""So many failures hold the group."""
NONE, LOADING, READY, ENDING = "none", "loading", "ready", "ending"
ALIVE = (LOADING, READY, ENDING)


class View(NamedTuple):
    """What a daemon knows of another host: its page, and for how long it has not answered."""

    page: "Page | None" = None
    silence: int = 1
    cut: int = 0
    """The same of a host of which nothing at all came back."""


class Page(NamedTuple):
    """A page, as far as the rules look at it."""

    generation: int | None
    runs: bool
    waits: bool
    served: bool
    wanted: bool
    wish: tuple[str, int] | None
    ended: tuple[int, bool] | None


class Host(NamedTuple):
    """One host: its process, what is written down, and what its daemon knows."""

    views: tuple[View, ...]
    process: str = NONE
    run: int | None = None
    """Written down: the generation of a run whose end is not accounted for."""
    served: bool = False
    end_asked: bool = False
    ended: tuple[int, bool] | None = None
    """Written down: generation of the last end, and whether somebody asked for it."""
    wanted: bool = True
    failures: int = 0
    held: bool = False
    up: bool = True
    """Whether the daemon runs."""
    next: int | None = None
    """Of a head the next generation, of a member the one that it is ready for."""
    pause: bool = False
    seen: frozenset[int] = frozenset()
    lost: bool = False
    wish: tuple[str, int] | None = None
    refused: bool = False
    """Of a head: it could not restart, which a member still wants of this generation."""


class State(NamedTuple):
    """All hosts, and what is between them. `links` and `connected` are of head and each member."""

    hosts: tuple[Host, ...]
    links: tuple[bool, ...]
    connected: tuple[bool, ...]
    late: tuple[tuple[int, int, Page], ...] = ()
    """Answers on their way: who asked, who answered, what."""
    faults: int = 0
    disturbed: bool = False
    """Whether something happened since the head's start that may end a generation that served."""


class Rules(NamedTuple):
    """The rules that are searched: vllmd's, or a mutant of one."""

    head: Callable[[Own, Mapping[str, GroupPeer], Limits], Decision] = rules.head
    member: Callable[[Own, GroupPeer, Limits], Decision] = rules.member


RULES = Rules()


class ViolationError(Exception):
    """A state that must not be; with what was done in it."""


def first(count: int) -> State:
    """Return hosts that have just booted; none has heard of another."""
    views = tuple(View() for _ in range(count))
    hosts = tuple(Host(views, next=0 if rank == HEAD else None) for rank in range(count))
    return State(hosts, (True,) * count, (False,) * count)


def fresh(state: State) -> int:
    """Return a generation that nobody knows."""
    return 1 + max(_generations(state), default=-1)


def _generations(state: State) -> Iterator[int]:
    """Yield each generation that is named anywhere, in a fixed order, with repetitions."""
    for host in state.hosts:
        yield from (g for g in (host.run, host.next) if g is not None)
        yield from (pair[0] for pair in (host.ended,) if pair)
        yield from (pair[1] for pair in (host.wish,) if pair)
        for view in host.views:
            yield from _of_page(view.page)
    for _, _, page in state.late:
        yield from _of_page(page)


def _of_page(page: Page | None) -> Iterator[int]:
    if page is not None:
        yield from (g for g in (page.generation,) if g is not None)
        yield from (pair[0] for pair in (page.ended,) if pair)
        yield from (pair[1] for pair in (page.wish,) if pair)


def canonical(state: State) -> State:
    """Name generations by the order in which they are met: only whether they are equal counts."""
    names: dict[int, int] = {}
    for generation in _generations(state):
        names.setdefault(generation, len(names))
    if all(name == generation for generation, name in names.items()):
        return state
    get = names.get

    def page_of(page: Page | None) -> Page | None:
        if page is None:
            return None
        return page._replace(
            generation=None if page.generation is None else get(page.generation),
            wish=page.wish and (page.wish[0], names[page.wish[1]]),
            ended=page.ended and (names[page.ended[0]], page.ended[1]),
        )

    hosts = tuple(
        host._replace(
            run=None if host.run is None else get(host.run),
            next=None if host.next is None else get(host.next),
            ended=host.ended and (names[host.ended[0]], host.ended[1]),
            wish=host.wish and (host.wish[0], names[host.wish[1]]),
            views=tuple(View(page_of(v.page), v.silence, v.cut) for v in host.views),
        )
        for host in state.hosts
    )
    late = tuple((i, j, p) for i, j, page in state.late if (p := page_of(page)))
    return state._replace(hosts=hosts, late=late)


def page_of(host: Host) -> Page:
    """Return what a host's daemon answers now."""
    runs = host.run is not None
    waits = not runs and host.wanted and not host.held and not host.pause
    generation = host.run if runs else host.next
    return Page(generation, runs, waits, host.served, host.wanted, host.wish, host.ended)
