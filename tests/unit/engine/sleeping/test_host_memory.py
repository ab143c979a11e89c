import asyncio
import os
from pathlib import Path

import attrs
import pytest

from tests.helpers.scene import Scene, running
from vllmd.engine.sleeping.host_memory import WeightsMemory, available, left_of_groups
from vllmd.engine.state_machine import State
from vllmd.util.units import GIB


def test_what_is_promised_to_one_is_not_there_for_another() -> None:
    memory = WeightsMemory(lambda pid: pid * GIB)
    with memory.promised(3 * GIB):
        assert memory.left(10) == 7 * GIB
        assert memory.left(2) == 0
        with memory.promised(6 * GIB):
            assert memory.left(10) == GIB
    with pytest.raises(ValueError, match="refused"), memory.promised(9 * GIB):
        raise ValueError("refused")
    assert memory.left(10) == 10 * GIB


@pytest.mark.parametrize(
    ("cgroup", "files", "left"),
    [
        (
            "0::/a/b\n",
            {
                "a/memory.max": f"{8 * GIB}",
                "a/memory.current": f"{6 * GIB}",
                "a/memory.stat": f"anon {4 * GIB}\ninactive_file {GIB}\nactive_file {GIB}",
                "a/b/memory.max": "max",
                "a/b/memory.current": "1",
            },
            [3],
        ),
        (
            "4:memory:/box\n",
            {
                "memory/box/memory.limit_in_bytes": f"{8 * GIB}",
                "memory/box/memory.usage_in_bytes": f"{5 * GIB}",
                "memory/box/memory.stat": f"inactive_file 1\ntotal_inactive_file {2 * GIB}",
            },
            [5],
        ),
        ("0::/\n", {"memory.max": f"{GIB}", "memory.current": f"{2 * GIB}"}, [0]),
        ("0::/\n", {"memory.max": f"{GIB}"}, []),
        ("", {}, []),
    ],
)
def test_limit_of_a_control_group_leaves_what_is_not_used_or_only_cached(
    tmp_path: Path, cgroup: str, files: dict[str, str], left: list[int]
) -> None:
    (tmp_path / "cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    found = left_of_groups(tmp_path / "cgroup", tmp_path / "fs")
    assert [each // GIB for each in found] == left


def test_smaller_one_of_host_and_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.engine.sleeping.host_memory.left_of_groups", lambda _: [7])
    assert available(os.getpid()) == 7
    monkeypatch.setattr("vllmd.engine.sleeping.host_memory.left_of_groups", lambda _: [2**62])
    assert GIB // 64 < available(os.getpid()) < 2**62


async def test_two_that_fall_asleep_at_once_do_not_take_the_same_memory(tmp_path: Path) -> None:
    one = Scene(tmp_path, "sleep = {}", name="one")
    two = Scene(tmp_path, "sleep = {}", name="two", beside=one)
    one.host_bytes = 100 * GIB
    async with running(one), running(two):
        for each in (one, two):
            await each.until_state(State.READY)
            each.supervisor._state.sizes["weights"] = 60 * GIB
        one.routes.held = asyncio.Event()
        one.supervisor.sleeper.ask_sleep("root")
        two.supervisor.sleeper.ask_sleep("root")
        await one.passes_until(lambda: one.routes.asked == ["sleep 1"])
        await one.passes(30)
        assert (one.state, two.state) == (State.DRAINING, State.READY)
        assert two.routes.asked == []
        assert "60.0 GiB, and 40.0 GiB are available: level 2 needs none" in str(
            two.supervisor.status.sleep
        )
        one.routes.held.set()
        await one.passes_until(lambda: one.state is State.SLEEPING)
        two.supervisor.sleeper.ask_sleep("root")
        await two.passes_until(lambda: two.state is State.SLEEPING)


async def test_memory_that_went_in_the_drain_keeps_it_awake(tmp_path: Path) -> None:
    async with running(Scene(tmp_path, "sleep = {}")) as scene:
        await scene.until_state(State.READY)
        scene.supervisor._state.sizes["weights"] = 60 * GIB
        idle = scene.reading
        rank = attrs.evolve(idle.ranks["0"], running=1)
        scene.reading = attrs.evolve(idle, ranks={"0": rank})
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.DRAINING, 0.5)
        scene.host_bytes, scene.reading = GIB, idle
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.routes.asked == []
        assert "1.0 GiB are available" in str(scene.supervisor.status.sleep)
