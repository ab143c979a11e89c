"""What a host of a group does next: what it knows of itself and of the others in, one step out.

Pure: no I/O, no clock. The head is fixed by the file, and the id of its run is the generation:

1. The head names the next generation, and starts it once every member has said that nothing of it
   runs and that it is ready for that very generation. From then on a member starts that one only.
2. A member starts when the head's page says that the generation that it is ready for runs, and
   ends when that page says anything else.
3. A head ends its generation when a member's run of it has ended, or when a member is neither heard
   of nor connected any more.

So no two generations run at once, whatever is lost, late or cut off:
`tests/helpers/group_search.py` searches that.
A host that cannot be heard and is connected all the same is waited for: a partition of 41 s healed
by itself (seen, vLLM 0.32), and a vllmd that was ended for an upgrade ends nothing that serves.
"""

from collections.abc import Collection, Mapping

import attrs

from vllmd.groups.page import RESTART, START, EndOfPart, GroupPage, GroupWish

LOST_S = 30.0
"""A host that is silent, and to which no connection was seen for so long, is lost."""
GONE_S = 10.0
"""A head that is silent for so long is not waited for by a member that is to end; and a host that
answers by TCP, without its vllmd, has lost what was connected if nothing is for so long."""


@attrs.frozen
class GroupPeer:
    """What is known of another host of the group. Lengths of time are monotonic, in seconds."""

    page: GroupPage | None = None
    """The newest; None if there was none yet."""
    silent_s: float = 0.0
    """For how long it has not answered; 0 if it did when it was asked last."""
    cut_s: float = 0.0
    """For how long nothing at all came back from the host; 0 if something did when it was asked
    last, or if that is not known, and no longer than since it asked this one itself, or since the
    engine made a step with it. A host
    that refuses can be reached, and only its vllmd is down; one whose page cannot be read, as for
    a certificate, is not lost."""
    unconnected_s: float = 0.0
    """For how long no connection of the own run to that host was seen, nor a step with it; 0 if
    there is one."""
    unanswered_s: float = 0.0
    """The same, however lately it asked this one: of a network that is cut in one direction the
    engine may still hang."""
    is_reached: bool = False
    """Of a host that is not heard: whether something came back when it was asked last, or it has
    asked this one itself within `GONE_S`."""
    problem: str = ""
    """Why it does not answer, in words."""

    @property
    def heard(self) -> GroupPage | None:
        """Its page, if it answered when it was asked last."""
        return self.page if not self.silent_s else None


@attrs.frozen
class Own:
    """This host's own part."""

    generation: str | None
    """As on its page: of the run, or of the next one."""
    runs: bool = False
    served: bool = False
    at_gate: bool = False
    """Whether only the group is in the way of a start."""
    leaving_s: float | None = None
    """For how long somebody has wanted this host's run to end; None if nobody does."""
    release_s: float = 60.0
    """How long such an end waits for the head: it turns red and drains first."""
    ended: EndOfPart | None = None
    ends_hung: bool = True
    """Whether such a rank ends the generation; else it only turns red."""
    hung: tuple[str, str] | None = None
    """Of a data parallel head: a host with a rank that answers nothing, and that in words."""
    acted: GroupWish | None = None
    """Of a head: the wish that it acted on last. One that it refused stays on the member's page."""
    seen: frozenset[str] = frozenset()
    """Of a head: members that were seen in this generation. A daemon that adopts a run that served
    has seen all: what it reads of them is newer. One that did not start it has not: the page that
    it read last may be of before the run."""


@attrs.frozen
class Limits:
    """How long a host that is connected may be cut off."""

    red_s: float = 60.0
    """Then the group takes no new requests: the head says so, and a member that lacks the head."""
    end_s: float = 600.0
    """Then the head ends its generation."""


@attrs.frozen
class Decision:
    """What to do now. At most one of `start`, `end` and `act` is set."""

    start: bool = False
    end: str | None = None
    """Why the own run is to end; None if it is not."""
    lost: str | None = None
    """With `end`: the host whose part was lost, which is a failure; None if it is none."""
    red: str | None = None
    """Why no new request is to come; None if they may."""
    act: GroupWish | None = None
    """Of a head: what somebody wants on a member."""
    waits_for: str | None = None
    """What a start waits for, in words."""
    awaited: str | None = None
    """Of a head, with `waits_for` or `red`: the host that it is about; of a member that is it."""


def head(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    """Decide for the head, by what it knows of the members, by host."""
    for peer in members.values():
        wish = page.wish if (page := peer.heard) else None
        if wish is None or wish.generation != own.generation or wish == own.acted:
            continue
        if wish.what == (RESTART if own.runs else START):
            return Decision(act=wish)
    if own.runs:
        return _head_that_runs(own, members, limits)
    if not own.at_gate:
        return Decision()
    for host, peer in members.items():
        if (why := _not_gathered(host, peer, own)) is not None:
            return Decision(waits_for=why, awaited=host)
    return Decision(start=True)


def _not_gathered(host: str, peer: GroupPeer, own: Own) -> str | None:
    page = peer.heard
    if page is None:
        return f"waits for {host}: its vllmd does not answer ({peer.problem or 'not asked yet'})"
    if page.runs:
        part = "its older command: restart it there" if page.older else "its part of the group"
        return f"waits until {host} has ended {part} (it is {page.state})"
    if not page.wanted:
        return f"waits for {host}, where it was stopped"
    if not page.waits:
        about = f": {page.problem}" if page.problem else ""
        return f"waits for {host}, where it is {page.state}{about}"
    if page.generation != own.generation:
        return f"waits until {host} is ready for the next start"
    return None


def _head_that_runs(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    red = Decision()
    for host, peer in members.items():
        step = _member_seen(host, peer, own, limits)
        if step.end is not None:
            return step
        red = red if red.red else step
    if own.hung is not None:
        host, why = own.hung
        if not _is_cut_off(members.get(host)):  # one that is is waited for
            if own.ends_hung:
                return Decision(end=why, lost=host)
            return red if red.red else Decision(red=why, awaited=host)
    return red


def _is_cut_off(peer: GroupPeer | None) -> bool:
    """Tell whether nothing comes from a host: what its part does not do may be the network's."""
    return peer is not None and peer.heard is None and not peer.is_reached


def _member_seen(host: str, peer: GroupPeer, own: Own, limits: Limits) -> Decision:
    """Decide by one member whether the head's run goes on."""
    page = peer.heard
    if page is None:
        return _member_silent(host, peer, own, limits)
    in_it = page.runs and page.generation == own.generation
    if not page.wanted:
        return Decision(end=f"it was stopped on {host}")
    if in_it:
        return Decision()
    if page.ended is not None and page.ended.generation == own.generation:
        lost = None if page.ended.requested else host
        return Decision(end=f"the part of {host} {page.ended.text}", lost=lost)
    if host in own.seen or (own.served and peer.unconnected_s >= LOST_S):
        return Decision(end=f"{host} runs nothing of this start any more", lost=host)
    return _member_outside(host, page)


def _member_outside(host: str, page: GroupPage) -> Decision:
    """Decide by a member that has not started yet."""
    if page.runs or not page.waits:
        about = f": {page.problem}" if page.problem else ""
        return Decision(end=f"{host} cannot join: it is {page.state}{about}")
    return Decision()


def _member_silent(host: str, peer: GroupPeer, own: Own, limits: Limits) -> Decision:
    why = f"{host} is lost: its vllmd does not answer ({peer.problem}), and none of its "
    why += "processes is connected"
    if peer.silent_s >= LOST_S and peer.unconnected_s >= LOST_S:
        return Decision(end=why, lost=host)
    if own.served and peer.is_reached and peer.unconnected_s:
        # as after `systemctl stop` there: a cut network closes no connection
        if min(peer.silent_s, peer.unconnected_s) >= GONE_S:
            return Decision(end=why, lost=host)
        return Decision(red=why)
    if peer.cut_s < limits.red_s:
        return Decision()
    why = f"{host} cannot be reached ({peer.problem}), and its processes are connected"
    if peer.cut_s >= limits.end_s:
        return Decision(end=why, lost=host)
    return Decision(red=why, awaited=host)


def member(own: Own, peer: GroupPeer, limits: Limits) -> Decision:
    """Decide for a member, by what it knows of the head."""
    page = peer.heard
    if own.runs:
        return _member_that_runs(own, peer, limits)
    if not own.at_gate:
        return Decision()
    if page is None:
        why = peer.problem or "not asked yet"
        return Decision(waits_for=f"waits for the head: its vllmd does not answer ({why})")
    if not page.runs:
        about = f": {page.problem}" if page.problem else ""
        return Decision(waits_for=f"waits for the head, {page.host}, which is {page.state}{about}")
    if page.older or page.generation != own.generation or _was_in(own, page.generation):
        about = " (it runs an older command: restart it there)" if page.older else ""
        return Decision(waits_for=f"waits until the head, {page.host}, starts again{about}")
    return Decision(start=True)


def _was_in(own: Own, generation: str | None) -> bool:
    return own.ended is not None and own.ended.generation == generation


def _member_that_runs(own: Own, peer: GroupPeer, limits: Limits) -> Decision:
    page = peer.heard
    if page is not None and not (page.runs and page.generation == own.generation):
        return Decision(end=f"the head, {page.host}, runs this start no more (it is {page.state})")
    gone = page is None and peer.silent_s >= GONE_S
    if own.leaving_s is not None and (gone or own.leaving_s >= own.release_s):
        return Decision(end="it was asked to end")
    if page is None and peer.silent_s >= LOST_S and peer.unconnected_s >= LOST_S:
        why = f"the head is lost: its vllmd does not answer ({peer.problem}), and none of its"
        return Decision(end=f"{why} processes is connected")
    if own.served and peer.cut_s >= limits.red_s:
        # nothing is ended: the head counts how long that may last, and it may come back
        return Decision(red=f"the head cannot be reached ({peer.problem})")
    return Decision()


def first_end(
    generation: str, own_host: str, own: EndOfPart | None, pages: Collection[GroupPage]
) -> tuple[str, EndOfPart] | None:
    """Return the host whose run of a generation ended first, and how; None if none did by itself.

    What one host tells is an age, so that their clocks need not agree.
    """
    ends = [(page.host, page.ended) for page in pages if page.ended is not None]
    if own is not None:
        ends.append((own_host, own))
    of_it = [(h, e) for h, e in ends if e.generation == generation and not e.requested]
    return max(of_it, key=lambda found: found[1].ago_s, default=None)
