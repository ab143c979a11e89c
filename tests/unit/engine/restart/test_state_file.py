import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.exits import Exit
from vllmd.engine.restart.policy import Failure, Hold, Past
from vllmd.engine.restart.state_file import Known, Memory
from vllmd.engine.state_machine import Event, State
from vllmd.events.daemon import StateFileNotWritten, StateFileUnreadable
from vllmd.util.disk_thread import Work

END = Exit(
    "1",
    requested=False,
    at=7.0,
    run_id="r",
    killed=("VLLM::Worker (pid 3)",),
    phase="weights",
    diagnosis=Diagnosis("lora_rank", Kind.CONFIGURATION, "E.", "A.", ("line",)),
)
KNOWN = Known(
    past=Past((Failure(1.0, "a"), Failure(2.0, "b")), ("h1", "h2"), "a"),
    hold=Hold("a", "E. A.", 2.0, None, "h2", fine=False, surroundings={"boot": "b"}),
    restarts=4,
    exits=Counter({("0", False): 2, ("SIGKILL", True): 1}),
    causes=Counter({"lora_rank": 2}),
    transitions=Counter({(Event.ANSWERED, State.READY): 3}),
    last_exit=END,
    first_failure=END,
    cache_moved=True,
    starts={"h2": [{"spawn": 1.0, "weights": 20.5}]},
)


def test_save_and_load_are_each_others_inverse(tmp_path: Path) -> None:
    path = tmp_path / "state" / "engines" / "chat.json"
    Memory(path).save(KNOWN)
    assert Memory(path).load() == KNOWN
    Memory(path).save(Known())
    assert Memory(path).load() == Known()


def test_load_nothing_is_nothing_known_and_says_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert Memory(tmp_path / "chat.json").load() == Known()
    assert logs == []


@given(st.data())
def test_load_survives_truncation_and_garbage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("m") / "chat.json"
    Memory(path).save(KNOWN)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(data.draw(st.sampled_from([whole[:cut], whole[cut:], whole[:cut] + b"\xff"])))
    with capture_logs() as logs:
        known = Memory(path).load()
    assert known in (Known(), KNOWN)
    if known == Known():
        assert logs[0]["event"] == StateFileUnreadable.name
        assert path.with_name("chat.json.unusable").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"past": None},
        {"exits": [["0"]]},
        {"hold": {"cause": "a"}},
        {"last_exit": {}},
        {"starts": 1},
    ],
)
def test_load_json_of_another_shape_is_put_aside(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "chat.json"
    Memory(path).save(KNOWN)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert Memory(path).load() == Known()
    assert not path.exists()


def test_load_a_newer_files_additions_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    Memory(path).save(KNOWN)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9, "more": 1}))
    assert Memory(path).load() == KNOWN


def test_save_on_a_full_disk_is_said_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        Memory(tmp_path / "file" / "chat.json").save(KNOWN)
    assert logs[0]["event"] == StateFileNotWritten.name


def test_load_leaves_out_transitions_that_only_a_newer_version_knows(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    Memory(path).save(KNOWN)
    record = json.loads(path.read_text())
    record["transitions"].append(["teleported", "elsewhere", 1])
    path.write_text(json.dumps(record))
    assert Memory(path).load() == KNOWN


async def test_saved_waits_for_the_disk_but_not_for_ever(tmp_path: Path) -> None:
    works: list[Work] = []
    memory = Memory(tmp_path / "chat.json", lambda work, _=None: works.append(work))
    await memory.saved(60)  # nothing is to be written
    memory.save(Known(restarts=1))
    await memory.saved(0.02)
    assert not (tmp_path / "chat.json").exists()
    memory.save(Known(restarts=2))
    works.pop(0)()
    waiting = asyncio.create_task(memory.saved(60))
    await asyncio.sleep(0.02)
    assert not waiting.done()  # the newer one is still to come
    works.pop(0)()
    await asyncio.wait_for(waiting, 20)
    assert memory.load().restarts == 2
    works.clear()
    memory.save(Known())
    (tmp_path / "chat.json.new").mkdir()
    works.pop(0)()
    await asyncio.wait_for(memory.saved(60), 20)  # refused: nothing more will come
