import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.helpers.clock import FakeClock
from vllmd.config.fleet import FleetHost
from vllmd.errors import HeldError, TimedOutError, UnknownEngineError, VllmdError
from vllmd.fleet.commands import HostCommandError
from vllmd.fleet.replicas import Replica
from vllmd.fleet.rolling import BelowMinimumError, RollingRestart, RollingSettings, Step

A, B, C = (FleetHost(name) for name in "abc")
LOAD_S = 5.0
SETTINGS = RollingSettings(min_ready=1, settle_s=10, timeout_s=100)


def engine(name: str = "chat", **more: Any) -> dict[str, Any]:
    known = {"state": "ready", "up": True, "wanted": True, "started_at": 1.0, "last_exit": None}
    return {"name": name, "served_names": ["tiny"], **known, **more}


class Hosts:
    """Hosts whose engines load for a while once they are restarted, and note who serves."""

    def __init__(self, **engines: Any) -> None:
        self.clock = FakeClock()
        self.engines = {FleetHost(name): list(found) for name, found in engines.items()}
        self.asked: list[tuple[str, ...]] = []
        self.least_up = 99
        self.silent: dict[FleetHost, VllmdError] = {}
        self.on_restart: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_ready: Callable[[dict[str, Any]], None] = lambda _: None
        self.takes_version = True
        self.error: VllmdError | None = None
        self.lines: list[str] = []
        self.load_s = LOAD_S
        self._ready_at: dict[int, float] = {}
        self._installed: dict[int, str] = {}

    def line(self, text: str) -> None:
        self.lines.append(text)

    def now(self, text: str) -> None:
        pass

    async def pages(self) -> Mapping[FleetHost, Any]:
        for found in self.engines.values():
            for each in found:
                due = self._ready_at.get(id(each))
                if due is not None and self.clock.now >= due:
                    del self._ready_at[id(each)]
                    each.update(state="ready", up=True)
                    self.on_ready(each)
        ups = sum(each["up"] for found in self.engines.values() for each in found)
        self.least_up = min(self.least_up, ups)
        return {
            host: self.silent.get(host)
            or {"at": self.clock.now, "engines": [dict(each) for each in found]}
            for host, found in self.engines.items()
        }

    async def run(self, host: FleetHost, words: Sequence[str], _limit_s: float, /) -> str:
        self.asked.append((str(host), *words))
        if self.error:
            raise self.error
        if words[0] == "engine" and self.takes_version:
            for each in self.engines[host]:
                self._installed[id(each)] = words[2]
        if words[0] == "restart":
            (found,) = [each for each in self.engines[host] if each["name"] == words[1]]
            found.update(state="loading", up=False, started_at=self.clock.now)
            self._take_installed(words[1], found)
            self._ready_at[id(found)] = self.clock.now + self.load_s
            self.on_restart(found)
        return ""

    def _take_installed(self, name: str, head: dict[str, Any]) -> None:
        """Have all parts of what is restarted run what is installed on their hosts."""
        group = head.get("group", {}).get("id")
        for each in (each for found in self.engines.values() for each in found):
            version = self._installed.get(id(each))
            if version is None or each["name"] != name:
                continue
            if each is head:
                each["vllm_version"] = version
            elif group is not None and each.get("group", {}).get("id") == group:
                each["group"] = {**each["group"], "vllm": version}

    def rolling(self, name: str = "chat", **more: Any) -> RollingRestart:
        settings = more.pop("settings", SETTINGS)
        return RollingRestart(name, self.pages, self.run, settings, self.clock, self, **more)

    async def until(self, at: float) -> None:
        """Let what goes on go on, until the clock shows `at`."""
        while self.clock.now < at:
            await self.clock.advance(1)

    async def roll(self, rolling: RollingRestart) -> None:
        """Run it whole, while time goes by."""

        async def whole() -> None:
            await rolling.go(await rolling.plan())

        task = asyncio.ensure_future(whole())
        while not task.done():
            await self.clock.advance(1)
        await task


def restarted(hosts: Hosts) -> list[str]:
    return [" ".join(words) for words in hosts.asked]


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


async def test_runs_that_are_young_are_left_so_that_it_can_go_on() -> None:
    hosts = Hosts(a=[engine(started_at=940.0)], b=[engine(started_at=1.0)])
    settings = RollingSettings(settle_s=1, younger_than_s=600)
    await hosts.roll(hosts.rolling(settings=settings))
    assert restarted(hosts) == ["b restart chat"]
    assert hosts.lines[0] == "chat on a: left as it is: it was started 1m ago"


async def test_an_engine_that_no_host_has_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownEngineError, match="no engine 'chit' is configured; there is: chat"):
        await Hosts(a=[engine()]).rolling("chit").plan()


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
