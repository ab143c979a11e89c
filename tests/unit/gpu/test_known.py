from tests.helpers.gpus import G1, G2, GpuScene
from tests.unit.gpu.test_service import CHAT, CODE
from vllmd.config import command
from vllmd.engine.state_machine import State
from vllmd.gpu.memory_shares import Owner
from vllmd.util.units import GIB


def test_owners_of_each_gpu_add_up(scene: GpuScene) -> None:
    scene.holds(CHAT, *CODE, (G2, 7, 30, Owner.FOREIGN, None))
    first, second = scene.gpus.figures().devices
    assert first.owners[Owner.ENGINE, "chat"] == 50 * GIB
    assert first.owners[Owner.ENGINE, "code"] == 20 * GIB
    assert second.owners[Owner.FOREIGN, None] == 30 * GIB
    for each in (first, second):
        assert sum(each.owners.values()) == 101 * GIB
    assert scene.gpus.engine_bytes("code") == 40 * GIB


def test_engine_is_where_its_memory_is_and_else_where_it_would_be(scene: GpuScene) -> None:
    def gpus_of(name: str) -> list[str]:
        return [d.uuid for d in scene.gpus.gpus_of(scene.config.engines[name])]

    assert gpus_of("chat") == [G1]
    assert gpus_of("code") == [G1, G2], "tensor parallel over two"
    scene.holds((G2, 10, 50, Owner.ENGINE, "chat"))
    assert gpus_of("chat") == [G2]


def test_engine_that_does_not_run_is_where_it_was_when_it_was_ready_with_this_command(
    scene: GpuScene,
) -> None:
    def gpus_of(name: str) -> list[str]:
        return [d.uuid for d in scene.gpus.gpus_of(scene.config.engines[name])]

    command_hash = command.build_all(scene.config)["chat"].hash
    scene.becomes("chat", State.LOADING, command_hash=command_hash)
    scene.holds((G1, 9, 1, Owner.ENGINE, "chat"))
    scene.holds()
    assert gpus_of("chat") == [G1], "it never got ready: as the variable names it"
    scene.becomes("chat", State.READY, command_hash=command_hash)
    scene.clock.now += 1
    scene.holds((G2, 10, 50, Owner.ENGINE, "chat"))
    scene.holds((G1, 7, 50, Owner.FOREIGN, None))
    assert gpus_of("chat") == [G2], "a wrapper took another"
    scene.becomes("chat", State.READY, run_id="run-2", command_hash="another")
    scene.clock.now += 1
    scene.holds((G2, 11, 50, Owner.ENGINE, "chat"))
    scene.holds()
    assert gpus_of("chat") == [G1], "it has another command by now"
    scene.becomes("chat", State.READY, run_id="run-3", command_hash=command_hash)
    scene.clock.now += 1
    scene.holds((G2, 12, 50, Owner.ENGINE, "chat"))
    scene.holds()
    assert gpus_of("chat") == [G2]
    scene.gpus._state.held["chat"] = (command_hash, ("GPU-9",))
    assert gpus_of("chat") == [G1], "that GPU was taken out"


def test_margin_is_what_a_restart_would_leave(scene: GpuScene) -> None:
    scene.holds(CHAT, *CODE)
    first, second = scene.gpus.figures().devices
    spare = 700 * 1024**2
    assert first.margins == {"chat": 30 * GIB - spare, "code": 10 * GIB - spare}
    assert second.margins == {"code": 60 * GIB - spare}
    assert first.budgets == {"chat": 50 * GIB, "code": 40 * GIB}, "the share of what CUDA counts"
    assert second.budgets == {"code": 40 * GIB}
    scene.holds(CHAT, *CODE, (G1, 7, 30, Owner.ORPHAN, "chat"))
    assert scene.gpus.figures().devices[0].margins["chat"] < 0
