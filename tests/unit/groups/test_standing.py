import pytest

from tests.helpers.clock import FakeClock
from vllmd.config.fleet import FleetHost
from vllmd.config.group import GroupConfig
from vllmd.engine.group_interface import AwaitedHost, GroupStatus
from vllmd.groups.own import Identity
from vllmd.groups.page import GroupPage, GroupWish, RefusedWish
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import Decision
from vllmd.groups.standing import status_of

GROUP = GroupConfig(hosts=(FleetHost("a"), FleetHost("b"), FleetHost("c")), mode="data")


def peer(rank: int, page: GroupPage | None) -> PeerWatch:
    made = PeerWatch(GROUP.hosts[rank], "big", rank, FakeClock().monotonic)
    if page is not None:
        made.page = page
        made.heard()
    return made


def of(rank: int, step: Decision, **more: object) -> GroupStatus:
    pages = {
        0: GroupPage("a", 0, "g", runs=True, state="ready"),
        1: GroupPage("b", 1, None, state="held"),
        2: None,
    }
    asked = (1, 2) if rank == 0 else (0,)
    given: dict[str, object] = {"doubt": None, "refused": None, "failed": None, **more}
    return status_of(
        "big",
        GROUP,
        rank,
        state="waiting",
        told=Identity("hash"),
        generation="g",
        peers=[peer(each, pages[each]) for each in asked],
        step=step,
        **given,  # type: ignore[arg-type]
    )


def test_states_of_hosts_are_as_they_told_them() -> None:
    assert of(0, Decision()).hosts == {"a": "waiting", "b": "held", "c": "unknown"}
    assert of(1, Decision()).hosts == {"a": "ready", "b": "waiting", "c": "unknown"}
    assert (of(0, Decision()).name, of(1, Decision()).role) == ("big@a", "member")


@pytest.mark.parametrize(
    ("rank", "step", "awaited"),
    [
        (0, Decision(waits_for="waits for b", awaited="b"), AwaitedHost("b:9840", "held")),
        (0, Decision(red="c cannot be reached", awaited="c"), AwaitedHost("c:9840", "unknown")),
        (0, Decision(), None),
        (1, Decision(waits_for="waits for the head"), AwaitedHost("a:9840", "ready")),
        (1, Decision(red="the head cannot be reached"), AwaitedHost("a:9840", "ready")),
        (1, Decision(), None),
    ],
)
def test_awaited_is_the_host_that_is_lacked_for_a_member_the_head(
    rank: int, step: Decision, awaited: AwaitedHost | None
) -> None:
    found = of(rank, step)
    assert found.awaited == awaited
    assert (found.red, found.waits_for) == (step.red, step.waits_for)


def test_refused_names_who_refuses_what_and_why() -> None:
    no = RefusedWish(GroupWish("restart", "g"), "the driver has changed")
    said = "the head, a, refuses the restart: the driver has changed"
    assert of(1, Decision(), refused=no).refused == said
    assert of(1, Decision()).refused is None
