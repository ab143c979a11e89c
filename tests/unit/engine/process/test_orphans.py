import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.make import spec
from tests.helpers.shims import FakeShim
from vllmd.engine.process import orphans
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord
from vllmd.shim.record import write_record

SCRIPT = "import subprocess as s; s.Popen(['sleep', '60']); print(1, flush=True); input()"


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    while "sleep 60" not in {proc.command_line(m.pid) for m in proc.session_members(child.pid)}:
        time.sleep(0.01)  # its exec is under way
    yield child
    subprocess.run(["pkill", "-KILL", "-s", str(child.pid)], check=False)
    child.wait()


def record_of(directory: Path, **more: Any) -> RunRecord:
    record = FakeShim(spec(directory, ["x"])).run
    record.update(more)  # type: ignore[typeddict-item]
    return record


def record_of_leader(directory: Path, pid: int) -> RunRecord:
    stat = proc.read_stat(pid)
    assert stat is not None
    return record_of(directory, engine_pid=pid, engine_start_ticks=stat.start_ticks)


async def test_kill_ends_a_session_whose_leader_was_killed(
    tmp_path: Path, leader: subprocess.Popen[bytes]
) -> None:
    record = record_of_leader(tmp_path, leader.pid)
    leader.kill()
    leader.wait()
    (name,) = await orphans.kill(record)
    assert name.startswith("sleep 60")
    assert orphans.find(record) == []


async def test_kill_spares_a_session_that_took_the_id_later(
    tmp_path: Path, leader: subprocess.Popen[bytes]
) -> None:
    record = record_of_leader(tmp_path, leader.pid)
    record["engine_start_ticks"] -= 1
    assert await orphans.kill(record) == []
    assert leader.poll() is None


def test_read_run_of_an_earlier_boot_is_none(tmp_path: Path) -> None:
    write_record(str(tmp_path / "run.json"), record_of(tmp_path, boot_id="other"))
    assert orphans.read_run(tmp_path) is None


def test_read_run_with_a_missing_field_is_none(tmp_path: Path) -> None:
    write_record(str(tmp_path / "run.json"), {"boot_id": proc.boot_id()})
    assert orphans.read_run(tmp_path) is None


def test_read_exit_of_another_run_is_none(tmp_path: Path) -> None:
    write_record(str(tmp_path / "exit.json"), {"run_id": "run-1"})
    assert orphans.read_exit(tmp_path, "run-1") is None


def test_shim_alive_knows_a_process_by_its_start(tmp_path: Path) -> None:
    assert orphans.shim_alive(record_of(tmp_path))
    assert not orphans.shim_alive(record_of(tmp_path, shim_start_ticks=1))


def _no_descriptor(path: str, *_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)


def test_shim_alive_of_one_that_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shim left is killed: so nobody takes one for dead because descriptors ran out."""
    record = record_of(tmp_path)
    monkeypatch.setattr(proc, "open", _no_descriptor, raising=False)
    assert orphans.shim_alive(record)


async def test_kill_of_what_cannot_be_looked_for_does_not_say_that_it_is_gone(
    tmp_path: Path, leader: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of_leader(tmp_path, leader.pid)
    leader.kill()
    leader.wait()
    with monkeypatch.context() as patch:
        patch.setattr(proc, "open", _no_descriptor, raising=False)
        with pytest.raises(OSError, match="open files"):
            await orphans.kill(record)
    assert len(await orphans.kill(record)) == 1


def test_kill_shim_spares_a_process_that_took_the_id_later(
    tmp_path: Path, leader: subprocess.Popen[bytes]
) -> None:
    orphans.kill_shim(record_of(tmp_path, shim_pid=leader.pid, shim_start_ticks=1))
    assert leader.poll() is None
