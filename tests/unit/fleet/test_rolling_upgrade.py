"""An upgrade of all hosts, and answers that a probe looks at on the way."""

import asyncio
from typing import Any

import pytest

from tests.helpers.rolled import A, B, Hosts, engine, restarted
from vllmd.errors import TimedOutError, VllmdError
from vllmd.fleet.rolling import BelowMinimumError, RollingRestart, RollingSettings, Step

WRONG = "2.64 nats from the reference"


def probed(verdict: str, **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "asked_at": None, "found": WRONG, **more}


async def test_one_with_wrong_answers_is_not_ready_and_goes_first() -> None:
    hosts = Hosts(a=[engine()], b=[engine(wrong_answers=WRONG)])
    plan = await hosts.rolling().plan()
    assert [each.label for each in plan] == ["chat on b", "chat on a"]
    with pytest.raises(BelowMinimumError, match="chat on a was not restarted: 0 other"):
        await hosts.rolling().go(plan[1:])
    assert hosts.asked == []


async def test_next_one_waits_until_the_answers_of_the_last_were_looked_at() -> None:
    hosts = Hosts(a=[engine(probe=probed("right"))], b=[engine(probe=probed("right"))])
    hosts.on_restart = lambda found: found.update(probe=probed("unknown", asked_at=1.0))
    rolling = hosts.rolling()
    task = asyncio.ensure_future(rolling.go(await rolling.plan()))
    await hosts.until(1060)
    assert restarted(hosts) == ["a restart chat"]
    hosts.engines[A][0].update(probe=probed("right"))
    await hosts.until(1090)
    assert restarted(hosts) == ["a restart chat", "b restart chat"]
    hosts.engines[B][0].update(probe=probed("unknown", asked_at=hosts.clock.now))
    await hosts.until(hosts.clock.now + 30)
    await task  # it was looked at, and nothing can be said: that is not waited for


async def test_answers_that_nobody_looked_at_in_time_end_it_with_that() -> None:
    hosts = Hosts(a=[engine()], b=[engine()])
    hosts.on_restart = lambda found: found.update(probe=probed("unknown"))
    words = "chat on a: ready, its answers are not looked at yet, not ready after 1m 41s"
    with pytest.raises(TimedOutError, match=words):
        await hosts.roll(hosts.rolling())
    assert restarted(hosts) == ["a restart chat"]


@pytest.mark.parametrize(
    ("before", "more", "fails"),
    [
        ("right", {}, True),  # on_mismatch = "alert": it goes on serving
        ("right", {"wrong_answers": WRONG}, True),
        ("wrong", {"wrong_answers": WRONG}, True),
        ("wrong", {}, False),  # and was wrong before: the restart changed nothing
    ],
)
async def test_wrong_answers_of_the_new_run_end_it(
    before: str, more: dict[str, Any], fails: bool
) -> None:
    hosts = Hosts(a=[engine(probe=probed(before))], b=[engine()])
    hosts.on_ready = lambda found: found.update(probe=probed("wrong"), **more)
    rolling = hosts.rolling(settings=RollingSettings(settle_s=60))
    if not fails:
        hosts.engines[B][0].update(probe=probed("wrong"))
        return await hosts.roll(rolling)
    with pytest.raises(VllmdError, match=r"its answers are wrong since the restart: 2\.64 nats"):
        await hosts.roll(rolling)
    assert len(hosts.asked) == 1


def upgrading(hosts: Hosts, **more: Any) -> RollingRestart:
    steps = [Step(("engine", "install", "0.33.0"))]
    return hosts.rolling(
        name=more.pop("name", "chat"),
        steps=steps,
        is_done=lambda each: each.version == "0.33.0",
        **more,
    )


async def test_an_upgrade_that_does_not_show_ends_it() -> None:
    hosts = Hosts(a=[engine(vllm_version="0.32.0")], b=[engine(vllm_version="0.32.0")])
    hosts.takes_version = False
    words = "chat on a serves with vLLM 0.32.0 after 'engine install 0.33.0'"
    with pytest.raises(VllmdError, match=words):
        await hosts.roll(upgrading(hosts))
    assert restarted(hosts) == ["a engine install 0.33.0", "a restart chat"]


async def test_an_upgrade_waits_for_a_version_that_is_not_known_yet() -> None:
    hosts = Hosts(a=[engine(vllm_version="0.32.0")], b=[engine(vllm_version="0.33.0")])
    hosts.on_ready = lambda found: found.update(vllm_version=None)
    with pytest.raises(TimedOutError, match="ready, no version is known of chat on a, not ready"):
        await hosts.roll(upgrading(hosts))


def part(role: str, group: str, **more: Any) -> dict[str, Any]:
    known = {"role": role, "id": group, "size": 2, "vllm": "0.32.0", **more}
    version = {"vllm_version": "0.32.0"} if role == "head" else {}
    return engine("big", group=known, **version)


async def test_an_upgrade_installs_on_all_hosts_of_a_group_before_its_one_restart() -> None:
    hosts = Hosts(
        a=[part("head", "a")],
        b=[part("member", "a")],
        c=[part("head", "c")],
        d=[part("member", "c")],
    )
    await hosts.roll(upgrading(hosts, name="big"))
    installed = [f"{host} engine install 0.33.0" for host in "abcd"]
    assert restarted(hosts) == [
        *(*installed[:2], "a restart big"),
        *(*installed[2:], "c restart big"),
    ]
    hosts.asked.clear()
    await hosts.roll(upgrading(hosts, name="big"))
    assert hosts.asked == []
    member = hosts.engines[B][0]
    member["group"] = {**member["group"], "vllm": "0.32.0"}
    await hosts.roll(upgrading(hosts, name="big"))
    assert restarted(hosts) == [*installed[:2], "a restart big"]


async def test_a_member_that_runs_what_was_there_before_is_not_done() -> None:
    hosts = Hosts(a=[part("head", "a")], b=[part("member", "a")], c=[part("head", "c", size=1)])
    hosts.engines[A][0]["vllm_version"] = "0.33.0"
    hosts.engines[B][0].update(command_changed=True)
    hosts.engines[B][0]["group"]["vllm"] = "0.33.0"  # installed, and not restarted since
    plan = await upgrading(hosts, name="big").plan()
    assert [each.label for each in plan] == ["big on a", "big on c"]


async def test_an_upgrade_of_a_group_that_is_not_all_there_does_nothing() -> None:
    hosts = Hosts(a=[part("head", "a")], b=[part("member", "x")], c=[part("head", "c", size=1)])
    with pytest.raises(VllmdError, match="big on a: its group has 2 hosts, and 1 of them"):
        await hosts.roll(upgrading(hosts, name="big"))
    assert hosts.asked == []
    await hosts.roll(hosts.rolling("big"))  # a restart needs the head only
    assert restarted(hosts) == ["a restart big", "c restart big"]
