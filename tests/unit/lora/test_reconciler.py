import shutil
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import settle
from tests.helpers.late_disk import LateDisk
from vllmd.engine.state_machine import State
from vllmd.errors import VllmdError
from vllmd.events.lora import LoraChangedElsewhere, LoraFailed, LoraLoaded
from vllmd.lora.api import LoraApiError

MODULES = 'lora = { modules = { a = "FOLDER/a", b = "FOLDER/b" } }'


async def test_a_start_is_over_too_when_a_mistake_ends_the_look_at_its_adapters(
    scenes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scenes(MODULES, state=State.LOADING)

    async def fail() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(scene.api, "listed", fail)
    with capture_logs() as logs:
        while not await scene.reconciler.settled():
            await settle()
    (failed,) = [log for log in logs if log["event"] == LoraFailed.name]
    assert failed["reason"].endswith("RuntimeError: can't start new thread")
    assert await scene.reconciler.settled()


async def test_a_start_is_over_when_each_adapter_is_loaded_or_refused(scenes: Any) -> None:
    scene = scenes(MODULES, state=State.LOADING)
    scene.adapter("a")
    scene.adapter("b", rank=64)
    with capture_logs() as logs:
        while not await scene.reconciler.settled():
            await settle()
    assert scene.api.asked == [("load", "a", f"{scene.folder}/a")]
    assert scene.conditions() == {"a": "loaded", "b": "failed"}
    (failed,) = [log for log in logs if log["event"] == LoraFailed.name]
    assert "its rank 64 is above max_lora_rank 16" in failed["reason"]
    assert failed["consequence"] == "the engine serves without it; it is retried"


async def test_an_engine_that_serves_already_waits_for_no_adapter(scenes: Any) -> None:
    scene = scenes(MODULES, state=State.LOADING, adopted=True)
    scene.adapter("a")
    scene.api.hang = True
    assert await scene.reconciler.settled()


async def test_a_load_that_hangs_does_not_keep_an_engine_from_serving(
    scenes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.lora.reconciler.SETTLE_S", 0.05)
    scene = scenes(MODULES, state=State.LOADING)
    scene.adapter("a")
    scene.api.hang = True
    with capture_logs() as logs:
        while not await scene.reconciler.settled():
            await settle()
    assert "the engine serves without them" in logs[-1]["consequence"]


async def test_adapters_are_loaded_again_after_a_restart(scenes: Any) -> None:
    scene = scenes(MODULES)
    scene.adapter("a")
    scene.adapter("b")
    scene.run()
    await scene.look()
    assert scene.conditions() == {"a": "loaded", "b": "loaded"}
    scene.api.loaded.clear()
    scene.reconciler.forget()
    assert scene.conditions() == {"a": "pending", "b": "pending"}
    await scene.look()
    assert scene.conditions() == {"a": "loaded", "b": "loaded"}


async def test_what_was_added_by_command_outlives_the_daemon(scenes: Any) -> None:
    scene = scenes()
    await scene.reconciler.add("new", scene.adapter("new"))
    scene.make()
    scene.run()
    await scene.look()
    assert scene.conditions() == {"new": "loaded"}
    await scene.reconciler.remove("new")
    await scene.look()
    assert scene.api.asked[-1] == ("unload", "new")
    assert scene.conditions() == {}


async def test_what_left_the_file_while_the_daemon_was_down_is_unloaded(scenes: Any) -> None:
    scene = scenes('lora = { unlisted = "keep", modules = { a = "FOLDER/a" } }')
    scene.adapter("a")
    scene.run()
    await scene.look()
    scene.tasks.pop().cancel()
    scene.api.loaded["theirs"] = "/x"
    scene.text = 'lora = { unlisted = "keep" }'
    scene.make()
    scene.run()
    await scene.look()
    assert scene.api.loaded == {"theirs": "/x"}
    assert scene.conditions() == {"theirs": "unlisted"}


@pytest.mark.parametrize(("unlisted", "left"), [("keep", {"x": "/x"}), ("unload", {})])
async def test_what_others_loaded_is_named_and_goes_if_it_is_to(
    scenes: Any, unlisted: str, left: dict[str, str]
) -> None:
    scene = scenes(f'lora = {{ unlisted = "{unlisted}" }}')
    scene.api.loaded["x"] = "/x"
    scene.run()
    with capture_logs() as logs:
        await scene.look()
        await scene.look()
    assert scene.api.loaded == left
    found = [log for log in logs if log["event"] == LoraChangedElsewhere.name]
    assert [log["change"] for log in found] == ["loaded by another client"]


async def test_what_others_unloaded_or_moved_is_mended(scenes: Any) -> None:
    scene = scenes(MODULES)
    scene.adapter("a")
    scene.adapter("b")
    scene.run()
    await scene.look()
    del scene.api.loaded["a"]
    scene.api.loaded["b"] = "/elsewhere"
    with capture_logs() as logs:
        await scene.look()
    assert scene.api.asked[-2:] == [
        ("load", "a", f"{scene.folder}/a"),
        ("replace", "b", f"{scene.folder}/b"),
    ]
    (changed,) = [log for log in logs if log["event"] == LoraChangedElsewhere.name]
    assert (changed["adapter"], changed["change"]) == ("a", "unloaded by another client")


async def test_a_folder_is_followed(scenes: Any) -> None:
    scene = scenes('lora = { directory = "FOLDER/watched" }')
    (scene.folder / "watched").mkdir()
    scene.run()
    await scene.look()
    scene.adapter("watched/new")
    weights = scene.folder / "watched" / "begun"
    scene.adapter("watched/begun")
    whole = (weights / "adapter_model.safetensors").read_bytes()
    (weights / "adapter_model.safetensors").write_bytes(whole[:200])
    with capture_logs() as logs:
        await scene.look()
    assert scene.conditions() == {"begun": "failed", "new": "loaded"}
    assert [log["event"] for log in logs] == [LoraLoaded.name]  # a copy under way is no news
    (weights / "adapter_model.safetensors").write_bytes(whole)
    await scene.look()
    assert scene.conditions() == {"begun": "loaded", "new": "loaded"}
    shutil.rmtree(scene.folder / "watched" / "new")
    await scene.look()
    assert scene.conditions() == {"begun": "loaded"}


async def test_a_folder_that_is_gone_unloads_nothing(scenes: Any) -> None:
    scene = scenes('lora = { directory = "FOLDER/watched" }')
    scene.adapter("watched/a")
    scene.run()
    await scene.look()
    (scene.folder / "watched").rename(scene.folder / "away")
    await scene.look()
    assert scene.conditions() == {"a": "loaded"}
    assert "its adapters stay as they are" in scene.reconciler.problem
    (scene.folder / "away").rename(scene.folder / "watched")
    await scene.look()
    assert scene.reconciler.problem is None


async def test_files_that_change_make_an_adapter_stale_until_it_is_reloaded(scenes: Any) -> None:
    scene = scenes(MODULES)
    path = scene.adapter("a")
    scene.run()
    await scene.look()
    scene.adapter("a", lora_alpha=4)
    await scene.look()
    assert [each.stale for each in scene.reconciler.statuses() if each.name == "a"] == [True]
    scene.reconciler.reload("a")
    await scene.look(0)
    assert scene.api.asked[-1] == ("replace", "a", f"{path}/.")
    assert [each.stale for each in scene.reconciler.statuses() if each.name == "a"] == [False]


async def test_an_engine_that_does_not_say_what_it_has_is_named(scenes: Any) -> None:
    scene = scenes(MODULES)
    scene.api.error = LoraApiError("no answer within 5 s")
    scene.run()
    await scene.look()
    assert "does not say what it has loaded: no answer" in scene.reconciler.problem


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("a", "a", "'a' is in the configuration already"),
        ("m", "new", "the base model's name"),
        ("x,y", "new", "cannot be served"),
        ("new", "none", "there is no folder"),
        ("big", "big", "its rank 64"),
    ],
)
async def test_add_refuses_what_cannot_be_served_and_changes_nothing(
    scenes: Any, name: str, path: str, words: str
) -> None:
    scene = scenes(MODULES)
    for each, rank in (("a", 8), ("new", 8), ("big", 64)):
        scene.adapter(each, rank=rank)
    with pytest.raises(VllmdError, match=words):
        await scene.reconciler.add(name, str(scene.folder / path))
    assert scene.reconciler.names() == ("a", "b")
    assert not (scene.folder / "chat.lora.json").exists()


async def test_remove_says_whose_an_adapter_is(scenes: Any) -> None:
    scene = scenes(MODULES)
    with pytest.raises(VllmdError, match=r"take it out of engines.chat.lora.modules"):
        await scene.reconciler.remove("a")
    with pytest.raises(VllmdError, match="no adapter 'x'; it has: a, b"):
        await scene.reconciler.remove("x")
    with pytest.raises(VllmdError, match="no adapter 'x'"):
        scene.reconciler.reload("x")


async def test_where_adapters_cannot_change_they_are_followed_and_nothing_is_asked(
    scenes: Any,
) -> None:
    scene = scenes('lora = { modules = { a = "FOLDER/a" } }\nflags = { api-server-count = 2 }')
    scene.adapter("a")
    scene.api.loaded = {"a": f"{scene.folder}/a"}
    scene.run()
    await scene.look()
    assert scene.conditions() == {"a": "loaded"}
    assert scene.api.asked == []
    for refused in (scene.reconciler.add("x", "/x"), scene.reconciler.remove("a")):
        with pytest.raises(VllmdError, match="there are 2 API servers"):
            await refused


async def test_a_disk_that_is_full_changes_nothing(scenes: Any) -> None:
    scene = scenes()
    path = scene.adapter("new")
    (scene.folder / "chat.lora.json.new").mkdir()
    with pytest.raises(IsADirectoryError):
        await scene.reconciler.add("new", path)
    assert scene.reconciler.names() == ()


async def test_what_a_folder_has_is_removed_by_moving_it_away(scenes: Any) -> None:
    scene = scenes('lora = { directory = "FOLDER/watched" }')
    scene.adapter("watched/a")
    scene.run()
    await scene.look()
    with pytest.raises(VllmdError, match="watched/a away"):
        await scene.reconciler.remove("a")


async def test_to_json_tells_all_of_it(scenes: Any) -> None:
    scene = scenes(MODULES)
    shown = scene.reconciler.to_json()
    assert (shown["engine"], shown["dynamic"], shown["problem"]) == ("chat", True, None)
    assert [each["condition"] for each in shown["adapters"]] == ["pending", "pending"]


async def test_adapter_that_may_be_ours_is_not_unloaded_before_that_is_read(
    scenes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scenes('lora = { unlisted = "unload" }')
    scene.adapter("x")
    scene.run()
    await scene.reconciler.add("x", f"{scene.folder}/x")
    await scene.look()
    assert scene.conditions() == {"x": "loaded"}
    before = (scene.folder / "chat.lora.json").read_bytes()
    disk = LateDisk(monkeypatch)
    scene.tasks.pop().cancel()
    scene.make()
    scene.run()
    scene.api.asked.clear()
    await scene.look()
    with pytest.raises(OSError, match="not written over"):
        await scene.reconciler.add("y", f"{scene.folder}/x")
    assert scene.conditions() == {"x": "unlisted"}
    disk.late = False
    await scene.look()
    assert scene.conditions() == {"x": "loaded"}
    assert scene.api.asked == []
    assert (scene.folder / "chat.lora.json").read_bytes() == before
