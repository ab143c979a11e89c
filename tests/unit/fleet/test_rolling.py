import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.helpers.rolled import LOAD_S, SETTINGS, A, B, C, Hosts, engine, restarted
from vllmd.config.fleet import FleetHost
from vllmd.errors import HeldError, TimedOutError, UnknownEngineError, VllmdError
from vllmd.fleet.commands import HostCommandError
from vllmd.fleet.replicas import Replica
from vllmd.fleet.rolling import BelowMinimumError, RollingSettings, Step


async def test_next_one_is_restarted_when_the_last_has_served_long_enough() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    times = []
    hosts.on_restart = lambda _: times.append(hosts.clock.now)
    await hosts.roll(hosts.rolling())
    assert restarted(hosts) == ["a restart chat", "b restart chat"]
    assert hosts.least_up == 1
    assert times[1] - times[0] >= LOAD_S + SETTINGS.settle_s


async def test_replicas_of_one_host_are_those_that_serve_the_same_model() -> None:
    hosts = Hosts(a=[engine("chat-0"), engine("chat-1"), engine("other", served_names=["big"])])
    await hosts.roll(hosts.rolling("tiny"))
    assert restarted(hosts) == ["a restart chat-0", "a restart chat-1"]
    assert hosts.least_up == 2


async def test_one_that_does_not_serve_is_restarted_first_and_costs_nothing() -> None:
    hosts = Hosts(a=[engine()], b=[engine(state="backoff", up=False)])
    await hosts.roll(hosts.rolling())
    assert restarted(hosts) == ["b restart chat", "a restart chat"]


async def test_it_never_goes_below_min_ready() -> None:
    hosts = Hosts(a=[engine()], b=[engine(state="stopped", up=False, wanted=False)])
    with pytest.raises(BelowMinimumError, match="chat on a was not restarted: 0 other"):
        await hosts.roll(hosts.rolling())
    assert hosts.asked == []
    assert "chat on b: left as it is: it was stopped by hand" in hosts.lines[0]
    await hosts.roll(hosts.rolling(settings=RollingSettings(min_ready=0, settle_s=0)))
    assert restarted(hosts) == ["a restart chat"]


async def test_a_member_of_its_group_is_no_other_replica() -> None:
    head, member = {"role": "head", "rank": 0}, {"role": "member", "rank": 1}
    hosts = Hosts(a=[engine(group=head)], b=[engine(group=member)])
    with pytest.raises(BelowMinimumError, match="chat on a was not restarted: 0 other"):
        await hosts.roll(hosts.rolling())
    assert hosts.asked == []
    await hosts.roll(hosts.rolling(settings=RollingSettings(min_ready=0, settle_s=0)))
    assert restarted(hosts) == ["a restart chat"]


async def test_one_that_falls_while_a_step_takes_long_stops_the_restart() -> None:
    class Installing(Hosts):
        async def run(self, host: FleetHost, words: Sequence[str], limit_s: float, /) -> str:
            if words[0] == "engine":
                self.engines[B][0].update(up=False, state="backoff")
            return await super().run(host, words, limit_s)

    hosts = Installing(a=[engine()], b=[engine()])
    rolling = hosts.rolling(steps=[Step(("engine", "install", "0.33.0"), 7200.0)])
    with pytest.raises(BelowMinimumError, match="chat on a was not restarted: 0 other"):
        await hosts.roll(rolling)
    assert restarted(hosts) == ["a engine install 0.33.0"]
    assert rolling.current is None


async def test_one_that_falls_meanwhile_stops_the_next_one() -> None:
    hosts = Hosts(a=[engine()], b=[engine()], c=[engine()])
    other = hosts.engines[C][0]
    hosts.on_restart = lambda _: other.update(up=False, state="backoff")
    rolling = hosts.rolling(settings=RollingSettings(min_ready=2, settle_s=1))
    with pytest.raises(BelowMinimumError, match="chat on b was not restarted: 1 other"):
        await hosts.roll(rolling)
    assert [each.label for each in rolling.done] == ["chat on a"]
    assert rolling.current is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"state": "held", "hold": {"reason": "no GPU"}}, HeldError, "is held: no GPU"),
        (
            {
                "last_exit": {
                    "at": 7,
                    "requested": False,
                    "diagnosis": {"explanation": "Out of it."},
                }
            },
            VllmdError,
            "failed: Out of it.",
        ),
        ({"wanted": False}, VllmdError, "was stopped meanwhile"),
    ],
)
async def test_first_failure_ends_it_with_the_reason(
    change: dict[str, Any], error: type[VllmdError], words: str
) -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    hosts.on_restart = lambda found: found.update(change)
    rolling = hosts.rolling()
    with pytest.raises(error, match=words):
        await hosts.roll(rolling)
    assert restarted(hosts) == ["a restart chat"]
    assert rolling.current is not None
    assert rolling.current.label == "chat on a"


async def test_an_end_from_before_is_no_failure_of_this_start() -> None:
    old = {"at": 3, "requested": False, "diagnosis": None, "text": "killed"}
    hosts = Hosts(a=[engine(last_exit=old)], b=[engine()])
    await hosts.roll(hosts.rolling())
    assert len(hosts.asked) == 2


async def test_one_that_does_not_become_ready_in_time_ends_it() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    hosts.load_s = 1e9
    with pytest.raises(TimedOutError, match="chat on a: loading, not ready after 1m 41s"):
        await hosts.roll(hosts.rolling())
    assert restarted(hosts) == ["a restart chat"]


async def test_a_page_that_is_away_for_a_moment_begins_the_time_of_serving_anew() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    rolling = hosts.rolling()
    task = asyncio.ensure_future(rolling.go(await rolling.plan()))
    await hosts.clock.advance(LOAD_S + 8)
    hosts.silent[A] = VllmdError("a: no answer within 5 s")
    await hosts.clock.advance(4)
    hosts.silent.clear()
    await hosts.clock.advance(9)
    assert len(hosts.asked) == 1
    await hosts.clock.advance(40)
    await task
    assert "chat on a: ready after 18s, and for 10s since" in hosts.lines


async def test_a_host_that_does_not_answer_at_first_restarts_nothing() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    hosts.silent[B] = VllmdError("b: no answer within 5 s")
    with pytest.raises(
        VllmdError, match=r"b: no answer within 5 s; nothing was restarted.*--skip b"
    ):
        await hosts.roll(hosts.rolling())
    assert hosts.asked == []


async def test_a_command_that_fails_ends_it() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    hosts.error = HostCommandError("a: ssh ended with 255: no route")
    rolling = hosts.rolling()
    with pytest.raises(HostCommandError, match="no route"):
        await hosts.roll(rolling)
    assert len(hosts.asked) == 1
    assert rolling.current is not None


async def test_steps_come_before_the_restart_and_those_that_are_done_are_left() -> None:
    hosts = Hosts(a=[engine(vllm_version="0.33.0+cpu")], b=[engine(vllm_version="0.32.0")])

    def is_done(replica: Replica) -> bool:
        return (replica.version or "").startswith("0.33.0")

    steps = [Step(("engine", "install", "0.33.0"))]
    await hosts.roll(hosts.rolling(steps=steps, is_done=is_done))
    assert restarted(hosts) == ["b engine install 0.33.0", "b restart chat"]
    assert hosts.lines[0] == "chat on a: left as it is: vLLM 0.33.0+cpu serves there"


async def test_one_that_sleeps_is_left_as_it_is_but_for_another_version() -> None:
    def hosts() -> Hosts:
        asleep = engine(state="sleeping", up=False, vllm_version="0.32.0")
        return Hosts(a=[asleep], b=[engine(vllm_version="0.33.0")], c=[engine()])

    one = hosts()
    await one.roll(one.rolling())
    assert restarted(one) == ["b restart chat", "c restart chat"]
    assert one.lines[0].startswith("chat on a: left as it is: it sleeps")
    other = hosts()
    steps = [Step(("engine", "install", "0.33.0"))]
    planned = await other.rolling(steps=steps).plan()
    assert str(planned[0].host) == "a"


async def test_runs_that_are_young_are_left_so_that_it_can_go_on() -> None:
    hosts = Hosts(a=[engine(started_at=940.0)], b=[engine(started_at=1.0)])
    settings = RollingSettings(settle_s=1, younger_than_s=600)
    await hosts.roll(hosts.rolling(settings=settings))
    assert restarted(hosts) == ["b restart chat"]
    assert hosts.lines[0] == "chat on a: left as it is: it was started 1m ago"


async def test_an_engine_that_no_host_has_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownEngineError, match="no engine 'chit' is configured; there is: chat"):
        await Hosts(a=[engine()]).rolling("chit").plan()
