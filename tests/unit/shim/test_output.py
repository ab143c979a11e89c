import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.make import spec
from vllmd.shim import logfiles
from vllmd.shim.output import GATHER_S, GATHERED_BYTES, PIPE_BYTES, Output
from vllmd.shim.protocol import ROTATION
from vllmd.util.units import MIB


def output(folder: Path, tail_bytes: int = 100, **more: object) -> Output:
    return Output(spec(folder, ["true"], tail_bytes=tail_bytes, **more))


def test_drain_appends_whole_lines_to_the_log_and_keeps_the_tail(tmp_path: Path) -> None:
    (tmp_path / "chat.log").write_bytes(b"before\n")
    made = output(tmp_path, secrets=["my-token"])
    os.write(made.write_fd, b"one my-token\ntwo \xff\nthr\ree")
    assert made.drain()
    assert (made.log_number, made.log_offset) == (1, 7)
    assert made.tail(2) == ["two \ufffd", "ee"]
    assert made.tail(1) == ["ee"]
    assert made.tail(0) == []
    assert made.status()["unfinished"] == "ee"
    made.close()
    assert (tmp_path / "chat.log").read_bytes() == b"before\none ********\ntwo \xff\n"


def test_drain_tail_is_bounded_and_starts_with_a_whole_line(tmp_path: Path) -> None:
    made = output(tmp_path, tail_bytes=10)
    os.write(made.write_fd, b"aaaaaaaa\nbbb\nccc\n")
    made.drain()
    assert made.tail(9) == ["bbb", "ccc"]


def test_tail_of_a_line_under_way_is_bounded_too(tmp_path: Path) -> None:
    made = output(tmp_path, tail_bytes=10)
    os.write(made.write_fd, b"a\n" + 500 * b"b")
    made.drain()
    assert made.tail(9) == ["a", 10 * "b"]


def test_drain_after_the_last_writer_reports_the_end(tmp_path: Path) -> None:
    made = output(tmp_path)
    assert made.drain()
    os.write(made.write_fd, b"x" * 1000)
    os.close(made.write_fd)
    made.drain_all()
    assert made.status()["output_bytes"] == 1000
    assert not made.drain()
    made.close()
    assert (tmp_path / "chat.log").read_bytes() == b"x" * 1000 + b"\n"


def test_drain_lets_lines_gather_but_not_a_flood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.shim.output.time", SimpleNamespace(monotonic=lambda: 100.0))
    made = output(tmp_path)
    assert made.wait_s() == 0
    os.write(made.write_fd, b"a line\n")
    made.drain()
    assert made.wait_s() == pytest.approx(GATHER_S)
    made._ready_at = 0
    os.write(made.write_fd, b"x" * (GATHERED_BYTES - 1) + b"\n")
    made.drain()
    assert made.wait_s() == 0


def test_pipe_is_as_large_as_the_kernel_allows(tmp_path: Path) -> None:
    allowed = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    size = fcntl.fcntl(output(tmp_path).read_fd, fcntl.F_GETPIPE_SZ)
    assert size == min(PIPE_BYTES, allowed)


def test_output_log_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        output(tmp_path, log=str(tmp_path / "none" / "a.log"))


def test_drain_a_line_without_an_end_stays_within_the_budget_and_is_counted(
    tmp_path: Path,
) -> None:
    rotation = {**ROTATION, "max_bytes": MIB, "budget_bytes": 3 * MIB}
    made = output(tmp_path, rotation=rotation)
    log, most = str(tmp_path / "chat.log"), 0
    for _ in range(16 * 16):
        os.write(made.write_fd, b"B" * 65536)
        made.drain()
        most = max(most, logfiles.used_bytes(log))
    os.close(made.write_fd)
    made.drain_all()
    made.close()
    assert max(most, logfiles.used_bytes(log)) <= 3 * MIB
    status = made.status()
    assert status["output_bytes"] == 16 * MIB
    assert status["log_cut_lines"] == 63
    assert status["log_dropped_lines"] == 0
