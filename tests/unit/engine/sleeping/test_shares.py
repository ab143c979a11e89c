"""Two engines of one daemon that take turns on a GPU."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import attrs
import pytest

from tests.helpers.scene import Scene, running
from vllmd.engine.sleeping.rules import RETRY_S
from vllmd.engine.state_machine import State


def hours(scene: Scene, begins: int, ends: int) -> str:
    """Return the hours of a schedule that begin and end so many minutes from now."""
    first, last = (
        datetime.fromtimestamp(scene.clock.time() + 60 * each).strftime("%H:%M")
        for each in (begins, ends)
    )
    return f"schedule = '{first}-{last}'"


@asynccontextmanager
async def pair(folder: Path, one: str = "", two: str = "") -> AsyncIterator[tuple[Scene, Scene]]:
    """Start two engines, the first one first; `one` and `two` are keys of their tables `sleep`."""
    first = Scene(folder, f"sleep = {{ share = 'gpu0' {one} }}", name="one")
    text = f"sleep = {{ share = 'gpu0' {two} }}"
    second = Scene(folder, text, name="two", beside=first)
    async with running(first), running(second):
        yield first, second


def busy(scene: Scene, requests: int) -> None:
    rank = attrs.evolve(scene.reading.ranks["0"], running=requests)
    scene.reading = attrs.evolve(scene.reading, ranks={"0": rank})


def turn_of(scene: Scene) -> str | None:
    sleep = scene.supervisor.status.sleep
    assert sleep is not None
    return sleep.turn_of


@pytest.mark.long
@pytest.mark.parametrize("day_first", [True, False])
async def test_day_and_night_after_a_boot_one_is_awake(tmp_path: Path, day_first: bool) -> None:
    now = Scene(tmp_path / "x")
    day, night = f", {hours(now, -60, 60)}", f", {hours(now, 60, 120)}"
    keys = (day, night) if day_first else (night, day)
    async with pair(tmp_path, *keys) as both:
        of_day, of_night = both if day_first else both[::-1]
        await of_day.passes_until(lambda: of_day.state is State.READY)
        await of_day.passes(600)
        assert of_day.state is State.READY, "its schedule says so"
        assert of_night.state in (State.STOPPED, State.SLEEPING)
        await of_day.passes(3600)
        assert (of_day.state, of_night.state) == (State.SLEEPING, State.READY)


async def test_one_that_waits_to_sleep_says_for_whom_and_starts_when_it_is_woken(
    tmp_path: Path,
) -> None:
    now = Scene(tmp_path / "x")
    async with pair(tmp_path, "", f", {hours(now, 60, 120)}") as (one, two):
        await one.passes_until(lambda: one.state is State.READY)
        await one.passes(300)
        assert turn_of(two) == "one"
        assert not two.spawner.shims
        two.supervisor.sleeper.ask_wake("root")
        await two.passes_until(lambda: two.state is State.READY)
        assert one.state is State.SLEEPING


async def test_one_that_dies_while_it_gives_way_takes_no_turn_back(tmp_path: Path) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        busy(two, 1)
        one.supervisor.sleeper.ask_wake("root")
        await two.passes_until(lambda: two.state is State.DRAINING)
        await two.spawner.last.end(1)
        await one.passes_until(lambda: one.state is State.READY)
        await one.passes(600)
        assert one.state is State.READY
        assert turn_of(two) == "one"


async def test_one_that_sleeps_by_itself_leaves_the_other_to_its_schedule(tmp_path: Path) -> None:
    now = Scene(tmp_path / "x")
    async with pair(tmp_path, "", f", {hours(now, -60, 600)}") as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        one.supervisor.sleeper.ask_wake("root")
        await one.passes_until(lambda: one.state is State.READY)
        assert two.state is State.SLEEPING
        one.supervisor.sleeper.ask_sleep("root")
        await two.passes_until(lambda: two.state is State.READY)
        assert one.state is State.SLEEPING


async def test_without_a_schedule_the_other_sleeps_on(tmp_path: Path) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        two.supervisor.sleeper.ask_sleep("root")
        await two.passes_until(lambda: two.state is State.SLEEPING)
        await one.passes(600)
        assert one.state is State.SLEEPING


async def test_start_beside_one_that_is_busy_waits_and_says_so(tmp_path: Path) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        one.supervisor.stop()
        await one.passes_until(lambda: one.state is State.STOPPED)
        busy(two, 3)
        one.supervisor.start()
        await one.passes(60)
        shims = len(one.spawner.shims)
        assert two.state is State.READY
        assert one.state is State.STOPPED, "two of them do not fit"
        problem = one.supervisor.status.problem or ""
        assert "two has the turn of gpu0 and does not sleep: 3 requests run" in problem
        assert not one.supervisor.sleeper.holds_turn
        busy(two, 0)
        await one.passes(RETRY_S + 60)
        assert len(one.spawner.shims) == shims + 1
        assert (one.state, two.state) == (State.READY, State.SLEEPING)


async def test_start_that_was_refused_is_tried_again_when_somebody_asks(tmp_path: Path) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        one.supervisor.stop()
        await one.passes_until(lambda: one.state is State.STOPPED)
        busy(two, 3)
        one.supervisor.start()
        await one.passes(60)
        busy(two, 0)
        one.supervisor.start()
        await one.passes(30)
        assert (one.state, two.state) == (State.READY, State.SLEEPING)


def refused(scene: Scene) -> str | None:
    sleep = scene.supervisor.status.sleep
    assert sleep is not None
    return sleep.refused


def wish_of(scene: Scene) -> tuple[str | None, str | None]:
    sleep = scene.supervisor.status.sleep
    assert sleep is not None
    return sleep.wanted, sleep.wanted_by


async def is_refused(busy_one: Scene, other: Scene) -> None:
    """Let the other sleep, and ask for it while the first one has a request."""
    await other.passes_until(lambda: other.state is State.SLEEPING)
    busy_one.supervisor.sleeper.ask_wake("root")
    await busy_one.passes_until(lambda: busy_one.state is State.READY)
    busy(busy_one, 1)
    other.supervisor.sleeper.ask_wake("ops")
    await other.passes_until(lambda: refused(other) is not None)


async def test_wake_that_is_refused_leaves_the_schedule_as_it_is(tmp_path: Path) -> None:
    now = Scene(tmp_path / "x")
    async with pair(tmp_path, "", f", {hours(now, -60, 600)}") as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        two.supervisor.sleeper.ask_sleep("root")
        await is_refused(one, two)
        assert wish_of(two) == ("asleep", "root")


@pytest.mark.long
async def test_wake_that_is_refused_by_night_is_none_by_day(tmp_path: Path) -> None:
    now = Scene(tmp_path / "x")
    async with pair(tmp_path, "", f", {hours(now, 10, 600)}") as (one, two):
        await one.passes_until(lambda: one.state is State.READY)
        one.supervisor.sleeper.ask_sleep("root")
        await is_refused(one, two)
        assert wish_of(two) == ("asleep", "schedule")
        busy(one, 0)
        await two.passes_until(lambda: two.state is State.READY, 15)


async def test_engine_whose_shim_cannot_be_made_has_no_turn(tmp_path: Path) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        one.supervisor.stop()
        await one.passes_until(lambda: one.state is State.STOPPED)
        two.supervisor.sleeper.ask_sleep("root")
        await two.passes_until(lambda: two.state is State.SLEEPING)
        one.spawner.error = "no memory"
        one.supervisor.start()
        await one.passes_until(lambda: one.state is State.BACKOFF)
        assert not one.supervisor.sleeper.holds_turn, "in its pause"
        two.supervisor.sleeper.ask_wake("root")
        await two.passes_until(lambda: two.state is State.READY)
        await one.passes_until(lambda: one.state is State.HELD, 15)
        assert not one.supervisor.sleeper.holds_turn


async def test_engine_that_was_left_has_no_turn_until_it_is_configured_again(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        two.supervisor.leave()
        await two.passes(30)
        one.supervisor.sleeper.ask_wake("root")
        await one.passes_until(lambda: one.state is State.READY)
        assert one.turns.ahead(one.supervisor.sleeper) == []
        two.supervisor.configure(two.settings)
        assert one.turns.ahead(one.supervisor.sleeper) == [two.supervisor.sleeper]


async def test_wake_beside_one_that_does_not_answer_is_refused_and_it_is_to_serve(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (one, two):
        await two.passes_until(lambda: two.state is State.READY)
        two.answers = False
        await two.passes_until(lambda: two.state is State.UNREACHABLE)
        one.supervisor.sleeper.ask_wake("root")
        await one.passes_until(lambda: refused(one) is not None)
        assert "two has the turn of gpu0 and does not sleep: it is unreachable" in str(refused(one))
        two.answers = True
        await two.passes_until(lambda: two.state is State.READY)
        await two.passes(60)
        assert two.state is State.READY, "nobody waits for its turn any more"
