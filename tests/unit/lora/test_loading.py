from typing import Any

from structlog.testing import capture_logs

from tests.unit.lora.test_reconciler import MODULES


async def test_a_reload_that_fails_keeps_what_serves(scenes: Any) -> None:
    scene = scenes(MODULES)
    scene.adapter("a")
    scene.run()
    await scene.look()
    scene.adapter("a", rank=64)
    scene.reconciler.reload("a")
    await scene.look(0)
    (standing,) = [each for each in scene.reconciler.statuses() if each.name == "a"]
    assert standing.condition == "loaded"
    assert "rank 64" in str(standing.reason)
    assert scene.api.asked[-1][0] == "load"


async def test_what_vllm_refuses_is_said_once_and_tried_again(scenes: Any) -> None:
    scene = scenes('lora = { modules = { a = "FOLDER/refused" } }')
    scene.adapter("refused")
    scene.run()
    with capture_logs() as logs:
        for _ in range(4):
            await scene.look()
    assert len(scene.api.asked) == 3
    assert [log["reason"] for log in logs] == ["LoRA weights do not fit"]


async def test_an_engine_that_dies_in_a_load_says_nothing_of_the_adapter(scenes: Any) -> None:
    scene = scenes('lora = { modules = { a = "FOLDER/refused" } }')
    scene.adapter("refused")
    load = scene.api.load

    async def dies(*args: Any, **more: Any) -> None:
        scene.reconciler.forget()
        await load(*args, **more)

    scene.api.load = dies
    scene.run()
    with capture_logs() as logs:
        await scene.look()
    assert logs == []
    assert scene.conditions() == {"a": "pending"}
