"""Whether an engine's start has room on its GPUs, and who has what is missing."""

from pathlib import Path

import pytest

from tests.helpers.gpus import CHAT, G1, G2, RESERVED, TEXT, TOTAL, GpuScene, view
from vllmd.config import command
from vllmd.engine.state_machine import State
from vllmd.gpu.fit import CONTEXT_BYTES
from vllmd.gpu.memory_shares import Owner
from vllmd.util.units import GIB


def memory(free_gib: float) -> dict[str, float]:
    """Return what the fast set says of the memory of a GPU."""
    sizes = {"total": TOTAL, "reserved": RESERVED, "free": free_gib * GIB}
    return {f"memory_{name}_bytes": float(size) for name, size in sizes.items()}


def seen(scene: GpuScene, *names: str) -> GpuScene:
    """Let engines have memory of a GPU, and end."""
    built = command.build_all(scene.config)
    for name in names:
        scene.becomes(name, State.READY, command_hash=built[name].hash)
    scene.clock.now += 1
    code = [(gpu, pid, 20, Owner.ENGINE, "code") for gpu, pid in ((G1, 20), (G2, 21))]
    scene.holds(*[each for each in (CHAT, *code) if each[4] in names])
    scene.holds()
    return scene


def test_shortage_is_not_sure_on_a_gpu_that_the_engine_was_never_seen_on(scene: GpuScene) -> None:
    scene.fast({}, **memory(1))
    before = view(scene).shortage()
    seen(scene, "chat").fast({}, **memory(1))
    found = before, view(scene).shortage(), view(scene, "code").shortage()
    assert [each and each.sure for each in found] == [False, True, False]


def test_shortage_names_how_much_is_missing_and_who_has_it(scene: GpuScene) -> None:
    assert view(scene).shortage() is None, "nobody knows"
    seen(scene, "chat").fast({}, **memory(51))
    assert view(scene).shortage() is None, "50 GiB and a context are wanted"
    scene.holds(
        (G1, 7, 30, Owner.FOREIGN, None),
        (G1, 8, 12, Owner.ENGINE, "code"),
        (G1, 9, 13, Owner.ENGINE, "code"),
        (G1, 5, 2, Owner.ORPHAN, "chat"),
        (G1, 6, 0, Owner.FOREIGN, None),
    )
    scene.fast({}, **memory(40))
    found = view(scene).shortage()
    assert found is not None
    assert (found.gpu, found.missing_bytes) == ("0", 10 * GIB + CONTEXT_BYTES)
    assert found.holders[:2] == ("proc7 (pid 7): 30.0 GiB", "engine code: 25.0 GiB")
    assert found.holders[2].startswith("proc5 (pid 5), left by an engine that ended")
    assert found.sure


def test_shortage_is_sure_only_beyond_what_a_context_may_take(scene: GpuScene) -> None:
    seen(scene, "chat")
    for free_gib, sure in ((50.45, False), (50.6, False), (50.3, True)):
        scene.fast({}, **memory(free_gib))
        found = view(scene).shortage()
        assert found is not None, free_gib
        assert found.sure is sure, free_gib


def test_shortage_of_a_gpu_that_is_divided_says_nothing(scene: GpuScene) -> None:
    instance = {"uuid": "MIG-1", "parent": G1, "gpu_instance": 1, "compute_instance": 0}
    devices = [scene.device(G1, 0), {**scene.device(G1, 0), **instance}, scene.device(G2, 1)]
    scene.say("devices", devices=devices)
    scene.fast({}, **memory(1))
    assert view(scene).shortage() is None, "no engine can take the whole of it"
    found = view(scene, "code").shortage()
    assert found is not None
    assert found.gpu == "1"


def test_shortage_is_not_sure_where_a_file_may_set_another_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.replace("tensor-parallel-size = 2", 'config = "/etc/v.yaml"')
    scene = seen(GpuScene(tmp_path, monkeypatch, text), "chat", "code")
    scene.fast({}, **memory(1))
    found = view(scene).shortage(), view(scene, "code").shortage()
    assert [each and each.sure for each in found] == [True, False]


def test_shortage_needs_all_gpus_of_the_engine_and_the_fullest_counts(scene: GpuScene) -> None:
    values = {G1: {"busy_ratio": 0.0, **memory(90)}, G2: {"busy_ratio": 0.0, **memory(20)}}
    scene.say(
        *("fast",),
        at=scene.clock.time(),
        values=values,
        lost={},
        errors={},
        took_s=0.0,
        cpu_s=0.0,
        rss=0,
    )
    found = view(scene, "code").shortage()
    assert found is not None
    assert found.gpu == "1"
    assert view(scene).shortage() is None


def test_shortage_stand_in_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXT.replace('"/opt/vllm/bin/vllm"', '"stand-in"', 1)
    scene = GpuScene(tmp_path, monkeypatch, text)
    scene.fast({}, **memory(1))
    assert view(scene).shortage() is None
    scene.gpus.latest.success_at = None
    assert not view(scene).awaited()
