"""Whatever happens, in whatever order: the table holds, one engine at most, and a stop is a stop.

Sequences of wishes, faults and restarts of the daemon are played to a supervisor; after each step
the invariants are looked at.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, RankProgress, Reading
from vllmd.engine.state_machine import (
    TRANSITIONS,
    InvalidTransitionError,
    State,
    Trigger,
    transition,
)

STEPS = (
    *("start", "stop", "restart", "pass", "pass_long", "crash", "crash_bad_config", "shim_killed"),
    *("hang", "progress", "sleep", "silent", "answer", "spawn_fails", "spawn_works", "daemon_dies"),
    "daemon_fails",
)
LORA = "ValueError: LoRA rank 32 is greater than max_lora_rank 16."


def alive(shims: Sequence[FakeShim]) -> list[FakeShim]:
    return [shim for shim in shims if shim.is_listening]


class Play:
    """One engine through a sequence of steps; its shims outlive its daemons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shims: list[FakeShim] = []
        self.stopped = False
        self.spawned_at_stop = 0
        self.port: int | None = None

    def scene(self) -> Scene:
        text = "liveness = { stall_s = 60, diagnose_s = 0 }"
        made = Scene(self.folder, text, port=self.port)
        self.port = made.engine.port
        made.spawner.shims = self.shims
        return made

    async def run(self, steps: Sequence[str]) -> None:
        left = list(steps)
        while True:
            scene = self.scene()
            async with running(scene, keep=True):
                while left:
                    step = left.pop(0)
                    if step in ("daemon_dies", "daemon_fails"):
                        break
                    await self.take(scene, step)
                    await self.look(scene, step)
                else:
                    break
        for shim in alive(self.shims):
            shim.vanish()

    async def take(self, scene: Scene, step: str) -> None:
        self.wish(scene, step)
        await scene.supervisor.saved()  # nobody is answered before that
        if step in ("pass", "pass_long"):
            await scene.clock.advance(5 if step == "pass" else 100)
        elif step in ("spawn_fails", "spawn_works"):
            scene.spawner.error = "no" if step == "spawn_fails" else None
        elif living := alive(self.shims):
            await self.strike(living[0], step)
        self.show(scene, step)

    def wish(self, scene: Scene, step: str) -> None:
        if step == "start":
            scene.supervisor.start()
        elif step == "stop":
            scene.supervisor.stop()
            self.spawned_at_stop = len(self.shims)
        elif step == "restart":
            scene.supervisor.restart()
        else:
            return
        self.stopped = step == "stop"

    async def strike(self, shim: FakeShim, step: str) -> None:
        if step == "crash":
            await shim.end(0)
        elif step == "crash_bad_config":
            await shim.end(1, tail=[LORA])
        elif step == "shim_killed":
            shim.vanish()

    def show(self, scene: Scene, step: str) -> None:
        idle = {"0": RankProgress(len(self.shims), 0, 0)}
        if step == "hang":
            scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(7, 1, 0)})
            scene.used = ProcessActivity(1.0, 1.0, 0)
        elif step in ("progress", "sleep"):
            scene.reading = Reading(0.0, PageAnswer.PAGE, idle, sleeping=step == "sleep")
        elif step in ("silent", "answer"):
            scene.answers = step == "answer"

    async def look(self, scene: Scene, step: str) -> None:
        """Let it settle, then look whether what must hold does."""
        for _ in range(6):
            await asyncio.sleep(0.001)
        assert scene.task is not None
        if scene.task.done():
            scene.task.result()
        assert len(alive(self.shims)) <= 1, f"two engines after {step}"
        if self.stopped:
            assert len(self.shims) == self.spawned_at_stop, f"started after a stop, by {step}"


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=25))
@example(["stop", "daemon_dies", "pass"])
def test_no_sequence_leads_out_of_the_table_or_to_two_engines(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Play(Path(folder)).run(steps))


@given(st.lists(st.sampled_from(list(Trigger)), max_size=60))
def test_transition_stays_in_the_table(happened: list[Trigger]) -> None:
    state = State.STOPPED
    for event in happened:
        if (state, event) in TRANSITIONS:
            state = transition(state, event)
            continue
        with pytest.raises(InvalidTransitionError):
            transition(state, event)


def test_every_state_can_be_reached_and_left() -> None:
    reached, waiting = {State.STOPPED}, [State.STOPPED]
    while waiting:
        here = waiting.pop()
        for (state, _), goal in TRANSITIONS.items():
            if state is here and goal not in reached:
                reached.add(goal)
                waiting.append(goal)
    assert reached == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)


def test_a_requested_stop_leads_to_stopped_only() -> None:
    """From draining and stopping there is no way to a start but through stopped.

    One that drains to sleep may sleep or serve on: neither is another run.
    """
    for state, more in ((State.DRAINING, {State.SLEEPING, State.READY}), (State.STOPPING, set())):
        goals = {goal for (here, _), goal in TRANSITIONS.items() if here is state}
        assert goals <= {State.STOPPING, State.STOPPED, *more}
