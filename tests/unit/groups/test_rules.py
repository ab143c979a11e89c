"""The rules of a group: every state that two and three hosts can come into is searched."""

from collections.abc import Mapping

import attrs
import pytest

from tests.helpers.group_model import Model
from tests.helpers.group_search import search
from tests.helpers.group_states import Rules, ViolationError
from vllmd.groups import rules
from vllmd.groups.page import RESTART, EndOfPart, GroupPage, GroupWish
from vllmd.groups.rules import GONE_S, LOST_S, Decision, GroupPeer, Limits, Own


@pytest.mark.parametrize(
    ("hosts", "faults"),
    [
        (2, 1),
        pytest.param(3, 1, marks=pytest.mark.long),
        pytest.param(2, 2, marks=pytest.mark.long),
    ],
)
def test_search_any_faults_never_two_generations_and_always_a_way_on(
    hosts: int, faults: int
) -> None:
    """Every fault: a process or a daemon dies, a link is cut, an answer is late, somebody wishes.

    No two generations run at once, vllmd's own death ends nothing that serves, and from every state
    the group comes to serve, is held, or is stopped by somebody, without any help.
    """
    states, steps = search(Model(hosts, faults))
    print(f"{hosts} hosts, {faults} faults: {states} states, {steps} steps")
    assert states > 1000


# --- mutants: rules with a mistake in them, of which the search has to find each ---------------


def no_word_awaited(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    """Start the head as soon as nothing runs on the members, whatever they are ready for."""
    if not own.runs and own.at_gate:
        heard = [peer.heard for peer in members.values()]
        return Decision(start=all(page and not page.runs for page in heard))
    return rules.head(own, members, limits)


def ends_are_not_seen(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    """Have the head go on when a member's part has ended."""
    known = {
        host: attrs.evolve(peer, page=attrs.evolve(peer.page, ended=None) if peer.page else None)
        for host, peer in members.items()
    }
    return rules.head(attrs.evolve(own, seen=frozenset()), known, limits)


def pages_of_long_ago(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    """Take a member's last page for true although the run has served since."""
    seen = frozenset(members) if own.served else own.seen
    return rules.head(attrs.evolve(own, seen=seen), members, limits)


def silence_is_loss(own: Own, members: Mapping[str, GroupPeer], limits: Limits) -> Decision:
    """End what serves because a member's vllmd is down."""
    known = {h: attrs.evolve(p, cut_s=p.silent_s) for h, p in members.items()}
    return rules.head(own, known, limits)


def connections_do_not_count(
    own: Own, members: Mapping[str, GroupPeer], limits: Limits
) -> Decision:
    known = {h: attrs.evolve(p, unconnected_s=LOST_S) for h, p in members.items()}
    return rules.head(own, known, limits)


def any_generation_is_started(own: Own, peer: GroupPeer, limits: Limits) -> Decision:
    """Start a member whenever the head runs, also again in the same generation."""
    page = peer.heard
    if not own.runs and own.at_gate:
        return Decision(start=bool(page and page.runs))
    return rules.member(own, peer, limits)


def generations_are_not_left(own: Own, peer: GroupPeer, limits: Limits) -> Decision:
    """Have a member stay when the head has ended: it holds its memory, and nobody can start."""
    return Decision() if own.runs else rules.member(own, peer, limits)


@pytest.mark.long
@pytest.mark.parametrize(
    ("mutant", "faults"),
    [
        (Rules(head=no_word_awaited), 1),
        (Rules(head=ends_are_not_seen), 1),
        (Rules(head=pages_of_long_ago), 0),
        (Rules(head=silence_is_loss), 1),
        (Rules(head=connections_do_not_count), 1),
        (Rules(member=any_generation_is_started), 1),
        (Rules(member=generations_are_not_left), 1),
    ],
    ids=lambda each: (
        (each.head if each.head is not rules.head else each.member).__name__
        if isinstance(each, Rules)
        else str(each)
    ),
)
def test_search_rules_with_a_mistake_are_found_out(mutant: Rules, faults: int) -> None:
    with pytest.raises(ViolationError):
        search(Model(2, faults, mutant))


# --- single rules ------------------------------------------------------------------------------

MEMBER = GroupPage("b", 1, "g", runs=True, served=True, state="ready")
WISH = GroupWish(RESTART, "g")


def decided(page: GroupPage, own: Own) -> Decision:
    return rules.head(own, {"b": GroupPeer(page)}, Limits())


def test_head_that_refused_a_restart_still_sees_a_member_end() -> None:
    own = Own("g", runs=True, served=True, seen=frozenset({"b"}))
    wishes = attrs.evolve(MEMBER, wish=WISH)
    assert decided(wishes, own).act == WISH
    refused = attrs.evolve(own, acted=WISH)
    assert decided(wishes, refused) == Decision()
    assert decided(attrs.evolve(wishes, runs=False, waits=True), refused).lost == "b"
    silent = GroupPeer(wishes, silent_s=100.0, cut_s=100.0)
    assert rules.head(refused, {"b": silent}, Limits()).red


@pytest.mark.parametrize("requested", [True, False])
def test_head_a_members_end_is_a_failure_unless_somebody_asked_for_it(requested: bool) -> None:
    own = Own("g", runs=True, served=True, seen=frozenset({"b"}))
    ended = EndOfPart("g", 1.0, requested, "ended")
    step = decided(attrs.evolve(MEMBER, runs=False, waits=True, ended=ended), own)
    assert step.end
    assert (step.lost is None) is requested


def test_head_with_a_rank_that_hangs_is_only_red_if_stalled_ones_are_not_restarted() -> None:
    own = Own("g", runs=True, served=True, hung=("b", "rank 1 does nothing"))
    assert decided(MEMBER, own).lost == "b"
    told = decided(MEMBER, attrs.evolve(own, ends_hung=False))
    assert told == Decision(red="rank 1 does nothing", awaited="b")


def test_head_says_which_of_its_hosts_it_waits_for() -> None:
    ready = GroupPage("b", 1, "g", waits=True)
    peers = {"b": GroupPeer(ready), "c": GroupPeer(attrs.evolve(ready, host="c", waits=False))}
    assert rules.head(Own("g", at_gate=True), peers, Limits()).awaited == "c"
    peers["c"] = GroupPeer(ready, silent_s=1.0, problem="no route")
    assert rules.head(Own("g", at_gate=True), peers, Limits()).awaited == "c"
    cut = {"b": GroupPeer(MEMBER), "c": GroupPeer(MEMBER, silent_s=100.0, cut_s=100.0)}
    assert rules.head(Own("g", runs=True, served=True), cut, Limits()).awaited == "c"


def test_member_that_leaves_waits_for_a_head_that_missed_an_answer() -> None:
    own = Own("g", runs=True, leaving_s=1.0)
    head = GroupPage("a", 0, "g", runs=True)
    for silent_s, ends in ((1.0, False), (GONE_S - 1, False), (GONE_S, True)):
        assert bool(rules.member(own, GroupPeer(head, silent_s), Limits()).end) is ends


def test_head_a_host_that_answers_without_its_vllmd_and_its_processes_is_red_at_once() -> None:
    """As after `systemctl stop vllmd` there: the daemon ends first, and then the engine."""
    own = Own("g", runs=True, served=True, seen=frozenset({"b"}))
    stopped = GroupPeer(MEMBER, silent_s=2.0, unconnected_s=2.0, is_reached=True, problem="refused")
    assert rules.head(own, {"b": stopped}, Limits()).red
    gone = attrs.evolve(stopped, silent_s=GONE_S, unconnected_s=GONE_S)
    assert rules.head(own, {"b": gone}, Limits()).lost == "b"
    for goes_on in (
        attrs.evolve(gone, unconnected_s=0.0),  # an upgrade of vllmd
        attrs.evolve(gone, is_reached=False),  # it may be cut off
    ):
        assert rules.head(own, {"b": goes_on}, Limits()) == Decision()
    loads = attrs.evolve(own, served=False, seen=frozenset())
    assert rules.head(loads, {"b": gone}, Limits()) == Decision()


HEAD_PAGE = GroupPage("a", 0, "g", runs=True, served=True)


@pytest.mark.parametrize(
    ("peer", "served", "red"),
    [
        (GroupPeer(HEAD_PAGE), True, False),
        (GroupPeer(HEAD_PAGE, silent_s=59.0, cut_s=59.0), True, False),
        (GroupPeer(HEAD_PAGE, silent_s=60.0, cut_s=60.0, problem="timed out"), True, True),
        (GroupPeer(HEAD_PAGE, silent_s=60.0, cut_s=60.0, problem="timed out"), False, False),
        # its vllmd is down, or starts again: the engine serves on
        (GroupPeer(HEAD_PAGE, silent_s=9000.0, is_reached=True, problem="refused"), True, False),
        (GroupPeer(HEAD_PAGE, silent_s=9000.0, problem="certificate has expired"), True, False),
    ],
)
def test_member_is_red_once_nothing_comes_from_the_head_and_is_not_ended(
    peer: GroupPeer, served: bool, red: bool
) -> None:
    step = rules.member(Own("g", runs=True, served=served), peer, Limits())
    assert (step.red is not None) is red
    assert step.end is None
    if red:
        assert step.red == "the head cannot be reached (timed out)"


def test_member_that_lacks_the_head_for_days_is_not_ended_while_it_is_connected() -> None:
    gone = GroupPeer(HEAD_PAGE, silent_s=1e6, cut_s=1e6)
    step = rules.member(Own("g", runs=True, served=True), gone, Limits())
    assert (step.end, bool(step.red)) == (None, True)
