import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.late_disk import LateDisk
from vllmd.gpu.growth import Baseline
from vllmd.gpu.state_file import MAX_PROCESSES, GpuState, GpuStateFile
from vllmd.shim.proc import boot_id


def state() -> GpuState:
    return GpuState(
        processes={(10, 99): "chat"},
        sessions={10: "chat"},
        leaders={10: 77},
        baselines={"chat": Baseline("run-1", 5, 7, 30.0)},
        xids={("GPU-1", 79): (2, 1_000_000.0)},
        indices={"GPU-1": 0},
        held={"chat": ("hash", ("GPU-1", "GPU-2"))},
        lost={"GPU-2": (1_000_100.0, "lost")},
        mismatch="x",
    )


def test_notes_come_back(tmp_path: Path) -> None:
    book = GpuStateFile(tmp_path / "gpus.json")
    book.save(state())
    assert book.load() == state()


def test_baselines_of_an_older_version_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "gpus.json"
    GpuStateFile(path).save(state())
    record = json.loads(path.read_text())
    del record["settling"], record["held"], record["lost"]
    path.write_text(json.dumps(record))
    loaded = GpuStateFile(path).load()
    assert (loaded.baselines, loaded.held) == ({"chat": Baseline("run-1", 5)}, {})


def test_notes_of_another_boot_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "gpus.json"
    GpuStateFile(path).save(state())
    path.write_text(path.read_text().replace(boot_id(), "another"))
    assert GpuStateFile(path).load() == GpuState()


def test_same_notes_are_written_once(tmp_path: Path) -> None:
    done: list[object] = []
    book = GpuStateFile(tmp_path / "gpus.json", lambda work, _key=None, /: done.append(work))
    book.save(state())
    book.save(state())
    assert len(done) == 1


@given(st.binary(max_size=200))
def test_garbage_is_as_good_as_nothing(tmp_path_factory: pytest.TempPathFactory, b: bytes) -> None:
    path = tmp_path_factory.mktemp("n") / "gpus.json"
    path.write_bytes(b)
    assert GpuStateFile(path).load() == GpuState()


def test_file_of_other_shape_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gpus.json"
    path.write_text(json.dumps({"boot": boot_id(), "processes": 5}))
    assert GpuStateFile(path).load() == GpuState()
    assert "state_file.unreadable" in capsys.readouterr().out


def test_disk_that_refuses_is_said_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    book = GpuStateFile(tmp_path / "file" / "gpus.json")
    book.save(state())
    assert "state_file.not_written" in capsys.readouterr().out
    (tmp_path / "file").unlink()
    book.save(state())  # the same, which is not written yet
    assert book.load() == state()


def test_processes_are_bounded_the_oldest_go_first(tmp_path: Path) -> None:
    many = GpuState(processes={(pid, 1): "chat" for pid in range(MAX_PROCESSES + 5)})
    GpuStateFile(tmp_path / "gpus.json").save(many)
    assert len(many.processes) == MAX_PROCESSES
    assert (0, 1) not in many.processes


def test_file_that_is_read_late_is_taken_up_and_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gpus.json"
    GpuStateFile(path).save(state())
    before = path.read_bytes()
    disk, book = LateDisk(monkeypatch), GpuStateFile(path)
    now = book.load()
    assert now == GpuState()
    now.processes[7, 7] = "new"
    book.save(now)
    assert book.late is not None
    assert path.read_bytes() == before
    disk.late = False
    book.save(now)
    assert book.late is None
    both = state()
    both.processes[7, 7], both.mismatch = "new", None  # that is looked at by each daemon
    assert now == GpuStateFile(path).load() == both
