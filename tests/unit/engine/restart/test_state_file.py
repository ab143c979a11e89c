import asyncio
import json
from collections import Counter
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.work_baseline import Least, WorkBaseline
from vllmd.engine.restart.policy import Failure, Hold, RestartHistory
from vllmd.engine.restart.state_file import RestartState, RestartStateFile
from vllmd.engine.state_machine import State, Trigger
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
KNOWN = RestartState(
    past=RestartHistory((Failure(1.0, "a"), Failure(2.0, "b", "KeyError: #")), ("h1", "h2"), "a"),
    hold=Hold("a", "E. A.", 2.0, None, "h2", fine=False, fingerprint={"boot": "b"}),
    restarts=4,
    requests_lost=12,
    exits=Counter({("0", False): 2, ("SIGKILL", True): 1}),
    causes=Counter({"lora_rank": 2}),
    transitions=Counter({(Trigger.ANSWERED, State.READY): 3}),
    last_exit=END,
    first_failure=END,
    cache_moved=True,
    work={"h2": WorkBaseline(3.0, 1.0, Least([0.1, 0.2], [300.0, 310.5]), idle_watts=119.5)},
    short_starts={"h2": 2},
    starts={"h2": [{"spawn": 1.0, "weights": 20.5}]},
)


def test_save_and_load_are_each_others_inverse(tmp_path: Path) -> None:
    path = tmp_path / "state" / "engines" / "chat.json"
    RestartStateFile(path).save(KNOWN)
    assert RestartStateFile(path).load() == KNOWN
    RestartStateFile(path).save(RestartState())
    assert RestartStateFile(path).load() == RestartState()


def test_load_older_file_has_no_starts_against_the_estimate(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    RestartStateFile(path).save(KNOWN)
    record = json.loads(path.read_text())
    del record["short_starts"]
    path.write_text(json.dumps(record))
    assert RestartStateFile(path).load() == attrs.evolve(KNOWN, short_starts={})


def test_note_short_start_forgets_the_oldest_commands() -> None:
    known = RestartState()
    for command in ("a", "b", "a", "c", "d", "e"):
        known.note_short_start(command)
    assert known.short_starts == {"a": 2, "c": 1, "d": 1, "e": 1}


def test_load_nothing_is_nothing_known_and_says_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert RestartStateFile(tmp_path / "chat.json").load() == RestartState()
    assert logs == []


@pytest.mark.long
@given(st.data())
def test_load_survives_truncation_and_garbage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("m") / "chat.json"
    RestartStateFile(path).save(KNOWN)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(data.draw(st.sampled_from([whole[:cut], whole[cut:], whole[:cut] + b"\xff"])))
    with capture_logs() as logs:
        known = RestartStateFile(path).load()
    assert known in (RestartState(), KNOWN)
    if known == RestartState():
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
def test_load_json_of_another_shape_is_set_aside(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "chat.json"
    RestartStateFile(path).save(KNOWN)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert RestartStateFile(path).load() == RestartState()
    assert not path.exists()


def test_load_a_newer_files_additions_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    RestartStateFile(path).save(KNOWN)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9, "more": 1}))
    assert RestartStateFile(path).load() == KNOWN


def test_save_on_a_full_disk_is_said_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        RestartStateFile(tmp_path / "file" / "chat.json").save(KNOWN)
    assert logs[0]["event"] == StateFileNotWritten.name


def test_load_leaves_out_transitions_that_only_a_newer_version_knows(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    RestartStateFile(path).save(KNOWN)
    record = json.loads(path.read_text())
    record["transitions"].append(["teleported", "elsewhere", 1])
    path.write_text(json.dumps(record))
    assert RestartStateFile(path).load() == KNOWN


async def test_saved_waits_for_the_disk_but_not_for_ever(tmp_path: Path) -> None:
    works: list[Work] = []
    memory = RestartStateFile(tmp_path / "chat.json", lambda work, _=None: works.append(work))
    await memory.saved(60)  # nothing is to be written
    memory.save(RestartState(restarts=1))
    await memory.saved(0.02)
    assert not (tmp_path / "chat.json").exists()
    memory.save(RestartState(restarts=2))
    works.pop(0)()
    waiting = asyncio.create_task(memory.saved(60))
    changed = memory._file._changed
    while not (changed._waiters or waiting.done()):  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert not waiting.done()  # the newer one is still to come
    works.pop(0)()
    await asyncio.wait_for(waiting, 20)
    assert memory.load().restarts == 2
    works.clear()
    memory.save(RestartState())
    (tmp_path / "chat.json.new").mkdir()
    works.pop(0)()
    await asyncio.wait_for(memory.saved(60), 20)  # refused: nothing more will come


def test_file_that_is_read_late_is_taken_up_without_a_jump_of_a_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.json"
    RestartStateFile(path).save(KNOWN)
    before, disk, file = path.read_bytes(), LateDisk(monkeypatch), RestartStateFile(path)
    known = file.load()
    assert known == RestartState()
    known.exits["1", False] += 1
    known.past = RestartHistory((Failure(3.0, "c"),), ("h3",))
    file.save(known)
    assert file.late is not None
    assert path.read_bytes() == before
    disk.late = False
    file.save(known)
    assert file.late is None
    assert known == attrs.evolve(
        KNOWN,
        past=RestartHistory((*KNOWN.past.failures, Failure(3.0, "c")), ("h1", "h2", "h3"), "a"),
        restarts=0,
        requests_lost=0,
        exits=Counter({("1", False): 1}),
        causes=Counter(),
        transitions=Counter(),
    )
    assert RestartStateFile(path).load() == known


def test_hold_that_is_read_late_is_over_for_an_engine_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RestartStateFile(tmp_path / "chat.json").save(KNOWN)
    disk, file = LateDisk(monkeypatch), RestartStateFile(tmp_path / "chat.json")
    known, disk.late = file.load(), False
    file.save(known, runs=True)
    assert known.hold is None
    assert known.last_exit == KNOWN.last_exit
