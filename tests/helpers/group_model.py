"""All that can happen to a group of hosts, step by step, with vllmd's own rules in the middle.

A state has for each host its process, what is written down, what its daemon knows, and the pages of
others that it saw last; between hosts which are cut off, which processes are connected, and answers
that are still on their way. Faults have a budget; everything else may happen at any time. The rules
(`vllmd.groups.rules`) are called as the daemon calls them. Ages are three: heard just now, silent,
and silent for so long that a host is lost.
"""

import functools
from collections.abc import Iterator
from typing import TypeVar

import attrs

from tests.helpers.group_states import (
    ALIVE,
    ENDING,
    FAILURES,
    HEAD,
    LIMITS,
    LOADING,
    NONE,
    READY,
    RULES,
    SILENT_S,
    Host,
    Page,
    Rules,
    State,
    View,
    ViolationError,
    fresh,
    page_of,
)
from vllmd.groups.page import RESTART, START, EndOfPart, GroupPage, GroupWish
from vllmd.groups.rules import LOST_S, Decision, GroupPeer, Own

T = TypeVar("T")


class Model:
    """What can follow a state; `faults` is the budget."""

    def __init__(self, count: int, faults: int, checked: Rules = RULES) -> None:
        self.count, self.budget, self.rules = count, faults, checked

    def successors(self, state: State) -> Iterator[tuple[str, bool, State]]:
        """Yield what may happen: in words, whether it is a fault, and the state that follows."""
        for rank in range(self.count):
            yield from self._of_daemon(state, rank)
            yield from self._of_process(state, rank)
        for at, (asked, answered, page) in enumerate(state.late):
            over = state._replace(late=(*state.late[:at], *state.late[at + 1 :]))
            yield "a late answer arrives", False, _delivered(over, asked, answered, page)
            yield "a late answer is given up", False, self._silent(over, asked, answered)
        for rank in range(1, self.count):
            if not state.links[rank]:
                yield f"the link of {rank} heals", False, _healed(state, rank)
        if state.faults < self.budget:
            for what, after in self._faults(state):
                yield what, True, after._replace(faults=state.faults + 1)

    # --- daemons -----------------------------------------------------------------------------

    def _of_daemon(self, state: State, rank: int) -> Iterator[tuple[str, bool, State]]:
        host = state.hosts[rank]
        if not host.up:
            views = tuple(View() for _ in range(self.count))
            up = host._replace(up=True, views=views)
            if rank == HEAD and up.run is None:
                up = up._replace(next=fresh(state))
            if rank == HEAD and up.served:
                up = up._replace(seen=frozenset(range(1, self.count)))
            yield f"daemon {rank} starts", False, put(state, rank, up)
            return
        for other in range(self.count):
            if other != rank and HEAD in (rank, other):
                yield from self._polled(state, rank, other)
        if host.pause:
            yield (
                f"the pause of {rank} is over",
                False,
                put(state, rank, host._replace(pause=False)),
            )
        if host.run is not None and host.process == NONE:
            yield f"{rank} accounts for an end", False, self._accounted(state, rank)
        if not (host.run is not None and (host.process in (NONE, ENDING))):
            for step, words in self._steps(state, rank):
                yield from self._acted(state, rank, step, words)

    def _polled(self, state: State, rank: int, other: int) -> Iterator[tuple[str, bool, State]]:
        asked = state.hosts[other]
        if any(each[:2] == (rank, other) for each in state.late):
            return  # one question at a time
        if state.links[rank or other] and asked.up:
            after = _delivered(state, rank, other, page_of(asked))
            yield f"{rank} hears {other}", False, after
        else:
            yield f"{rank} does not hear {other}", False, self._silent(state, rank, other)

    def _silent(self, state: State, rank: int, other: int) -> State:
        host = state.hosts[rank]
        view = host.views[other]
        longest = len(SILENT_S) - 1
        refused = state.links[rank or other] and not state.hosts[other].up
        cut = 0 if refused else min(view.cut + 1, longest)
        later = View(view.page, min(view.silence + 1, longest), cut)
        return put(state, rank, host._replace(views=_with(host.views, other, later)))

    def _steps(self, state: State, rank: int) -> Iterator[tuple[Decision, str]]:
        """Yield what the rules say, for each length of a wait that may be meant."""
        host = state.hosts[rank]
        peers = {other: self._peer(state, rank, other) for other in range(self.count)}
        waits = page_of(host).waits
        own = Own(
            generation=_name(host.run if host.run is not None else host.next),
            runs=host.run is not None,
            served=host.served,
            at_gate=waits,
            leaving_s=None if host.wanted else 0.0,
            ended=_end(host.ended),
            acted=GroupWish(RESTART, str(host.run)) if host.refused else None,
            seen=frozenset(map(str, host.seen)),
        )
        if rank == HEAD:
            members = {str(other): peers[other] for other in range(1, self.count)}
            if not host.wanted and own.runs:
                yield Decision(end="it was stopped"), "is stopped"
            else:
                yield self.rules.head(own, members, LIMITS), "decides"
            return
        yield self.rules.member(own, peers[HEAD], LIMITS), "decides"
        if own.leaving_s is not None:
            late = attrs.evolve(own, leaving_s=own.release_s)
            yield self.rules.member(late, peers[HEAD], LIMITS), "has waited for the head"

    def _peer(self, state: State, rank: int, other: int) -> GroupPeer:
        view, member = state.hosts[rank].views[other], rank or other
        return GroupPeer(
            page=_shown(view.page, other) if view.page else None,
            silent_s=SILENT_S[view.silence],
            cut_s=SILENT_S[view.cut],
            unconnected_s=0.0 if state.connected[member] or view.page is None else LOST_S,
            is_reached=view.silence > 0 and view.cut == 0,
        )

    def _acted(
        self, state: State, rank: int, step: Decision, words: str
    ) -> Iterator[tuple[str, bool, State]]:
        host = state.hosts[rank]
        if step.start:
            yield f"{rank} starts", False, self._started(state, rank)
        elif step.end is not None and host.process in (LOADING, READY):
            if host.served and not state.disturbed:
                raise ViolationError(f"{rank} ends what serves undisturbed: {step.end}")
            after = host._replace(process=ENDING, end_asked=True, lost=step.lost is not None)
            yield f"{rank} {words}: ends, {step.end}", False, put(state, rank, after)
        elif step.act is not None:
            yield (
                f"{rank} acts on a wish: {step.act.what}",
                False,
                self._wished(state, rank, step.act),
            )
            if step.act.what == RESTART:
                refused = put(state, rank, host._replace(refused=True))
                yield f"{rank} refuses a wish: {step.act.what}", False, refused

    def _wished(self, state: State, rank: int, wish: GroupWish) -> State:
        host = state.hosts[rank]
        if host.run is not None:
            ending = host._replace(process=ENDING, end_asked=True, lost=False)
            return put(state._replace(disturbed=True), rank, ending)
        free = host._replace(failures=0, held=False, pause=False, wanted=True, next=fresh(state))
        return put(state, rank, free)

    def _started(self, state: State, rank: int) -> State:
        host = state.hosts[rank]
        generation = host.next
        if rank != HEAD:
            page = host.views[HEAD].page
            assert page is not None
            generation = page.generation
        after = host._replace(
            run=generation,
            process=LOADING,
            served=False,
            end_asked=False,
            lost=False,
            next=None,
            seen=frozenset(),
            wish=None if rank == HEAD else host.wish,
        )
        state = put(state, rank, after)
        return state._replace(disturbed=False) if rank == HEAD else state

    def _accounted(self, state: State, rank: int) -> State:
        host = state.hosts[rank]
        assert host.run is not None
        failed = not host.end_asked or host.lost
        after = host._replace(
            run=None,
            served=False,
            ended=(host.run, not failed),
            end_asked=False,
            lost=False,
            refused=False,
        )
        if rank == HEAD:
            failures = host.failures + failed
            held = failures >= FAILURES
            after = after._replace(
                next=fresh(state), failures=failures, held=held, pause=failed and not held
            )
        return put(state, rank, after)

    # --- processes ---------------------------------------------------------------------------

    def _of_process(self, state: State, rank: int) -> Iterator[tuple[str, bool, State]]:
        host, head = state.hosts[rank], state.hosts[HEAD]
        if host.process == ENDING:
            yield f"the process of {rank} ends", False, _died(state, rank)
        both_load = host.process == LOADING == head.process and host.run == head.run
        if rank != HEAD and both_load and state.links[rank] and not state.connected[rank]:
            connected = _with(state.connected, rank, True)
            yield f"{rank} joins", False, state._replace(connected=connected)
        if rank != HEAD:
            return
        members = range(1, self.count)
        if head.process == LOADING and all(
            state.connected[m] and state.hosts[m].process == LOADING for m in members
        ):
            after = state
            for each in range(self.count):
                ready = after.hosts[each]._replace(process=READY, served=True)
                after = put(after, each, ready)
            yield "the group serves", False, after
        if head.process in (LOADING, READY) and any(
            head.served and not state.connected[m] for m in members
        ):
            yield "the head's process sees that a peer is gone", False, _died(state, HEAD)

    # --- faults ------------------------------------------------------------------------------

    def _faults(self, state: State) -> Iterator[tuple[str, State]]:
        for rank, host in enumerate(state.hosts):
            if host.process in (LOADING, READY):
                yield f"the process of {rank} dies", _died(state._replace(disturbed=True), rank)
            if host.up:
                down = host._replace(
                    up=False,
                    views=(),
                    next=None,
                    pause=False,
                    seen=frozenset(),
                    wish=None,
                    refused=False,
                )
                late = tuple(each for each in state.late if each[0] != rank)
                yield f"daemon {rank} dies", put(state, rank, down)._replace(late=late)
                yield from self._people(state._replace(disturbed=True), rank)
            if rank != HEAD and state.links[rank]:
                cut = state._replace(links=_with(state.links, rank, False), disturbed=True)
                yield f"the link of {rank} is cut", cut
        for asked in range(self.count):
            for answered in range(self.count):
                if asked != answered and HEAD in (asked, answered):
                    yield from self._delayed(state, asked, answered)

    def _delayed(self, state: State, asked: int, answered: int) -> Iterator[tuple[str, State]]:
        one, other = state.hosts[asked], state.hosts[answered]
        known = any(each[:2] == (asked, answered) for each in state.late)
        if one.up and other.up and state.links[asked or answered] and not known:
            late = (*state.late, (asked, answered, page_of(other)))
            yield f"an answer of {answered} to {asked} is late", state._replace(late=late)

    def _people(self, state: State, rank: int) -> Iterator[tuple[str, State]]:
        host = state.hosts[rank]
        if host.wanted:
            stopped = host._replace(wanted=False, wish=None)
            yield f"somebody stops {rank}", put(state, rank, stopped)
        if rank == HEAD:
            free = host._replace(wanted=True, failures=0, held=False, pause=False)
            if free != host:
                yield "somebody starts the head", put(state, rank, free)
            return
        page = host.views[HEAD].page
        if page is not None and page.generation is not None:
            for what in (START, RESTART) if page.runs else (START,):
                asked = host._replace(wanted=True, wish=(what, page.generation))
                yield f"somebody wants a {what} on {rank}", put(state, rank, asked)


# --- pieces --------------------------------------------------------------------------------


def put(state: State, rank: int, host: Host) -> State:
    """Return the state with another host in it."""
    return state._replace(hosts=_with(state.hosts, rank, host))


def _with(whole: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    return (*whole[:at], value, *whole[at + 1 :])


def _delivered(state: State, asked: int, answered: int, page: Page) -> State:
    """Have a page arrive, and what the daemon takes from it at once."""
    host = state.hosts[asked]
    after = host._replace(views=_with(host.views, answered, View(page, 0)))
    if asked == HEAD and page.runs and host.run is not None and page.generation == host.run:
        after = after._replace(seen=host.seen | {answered})
    if asked != HEAD and host.run is None:
        after = after._replace(next=page.generation)
    if asked != HEAD and host.wish and host.wish[1] != page.generation:
        after = after._replace(wish=None)
    return put(state, asked, after)


def _healed(state: State, rank: int) -> State:
    links = _with(state.links, rank, True)
    both = all(state.hosts[each].process in ALIVE for each in (HEAD, rank))
    same = state.hosts[HEAD].run == state.hosts[rank].run
    kept = state.connected[rank] and both and same
    connected = _with(state.connected, rank, kept)
    return state._replace(links=links, connected=connected, disturbed=True)


def _died(state: State, rank: int) -> State:
    """End a process; whoever was connected to it sees that, unless the link is cut."""
    state = put(state, rank, state.hosts[rank]._replace(process=NONE))
    connected = tuple(
        was and not (state.links[m] and rank in (HEAD, m)) for m, was in enumerate(state.connected)
    )
    return state._replace(connected=connected)


def _name(generation: int | None) -> str | None:
    return None if generation is None else str(generation)


def _end(ended: tuple[int, bool] | None) -> EndOfPart | None:
    return EndOfPart(str(ended[0]), 0.0, ended[1], "ended") if ended else None


@functools.cache
def _shown(page: Page, rank: int) -> GroupPage:
    return GroupPage(
        host=str(rank),
        rank=rank,
        generation=_name(page.generation),
        runs=page.runs,
        waits=page.waits,
        served=page.served,
        wanted=page.wanted,
        wish=GroupWish(page.wish[0], str(page.wish[1])) if page.wish else None,
        ended=_end(page.ended),
    )
