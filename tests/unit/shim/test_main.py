"""The shim as a process: what the daemon and systemd see of it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import vllmd.shim.__main__ as shim_program
from tests.helpers.make import spec
from tests.helpers.site import wait_for
from vllmd.shim import main as shim_main
from vllmd.shim import proc, protocol
from vllmd.shim.protocol import RunRecord
from vllmd.shim.record import read_record


class Shim:
    """A shim process and our end of its connection."""

    def __init__(self, directory: Path, *program: str, stderr: Any = subprocess.PIPE) -> None:
        self.directory = directory
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        self.connection = ours.makefile("rwb")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", *(program or [str(shim_program.__file__)])],
                stdin=theirs.fileno(),
                stderr=stderr,
            )

    def send(self, data: bytes) -> None:
        self.connection.write(data)
        self.connection.flush()

    def start(self, *argv: str, **more: Any) -> dict[str, Any]:
        self.send(protocol.encode(spec(self.directory, list(argv), **more)))
        return dict(json.loads(self.connection.readline()))

    def connect(self) -> Any:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(str(self.directory / protocol.SOCKET_NAME))
        return client.makefile("rwb")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        stream = self.connect()
        stream.write(protocol.encode(request))
        stream.flush()
        return dict(json.loads(stream.readline()))

    def exit_record(self) -> dict[str, Any]:
        record = read_record(str(self.directory / protocol.EXIT_RECORD_NAME))
        assert record is not None
        return record


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Shim]:
    started = Shim(tmp_path)
    yield started
    started.process.terminate()
    started.process.wait(20)


def test_shim_without_a_specification_exits_0(shim: Shim) -> None:
    shim.send(b'{"protocol": 1, "argv"')
    shim.connection.close()
    assert shim.process.wait(20) == 0
    assert list(shim.directory.iterdir()) == []


def test_shim_that_cannot_take_its_lock_reports_why(shim: Shim) -> None:
    (shim.directory / protocol.LOCK_NAME).mkdir()
    report = shim.start("true")
    assert report["error"] == protocol.ERROR_SETUP
    assert report["message"] == f"Is a directory: {shim.directory}/{protocol.LOCK_NAME}"
    assert shim.process.wait(20) == 0


def test_shim_that_cannot_bind_its_socket_says_where(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    shim = Shim(deep)
    report = shim.start("true")
    assert report["error"] == protocol.ERROR_SETUP
    assert "AF_UNIX path too long" in report["message"]
    assert str(deep) in report["message"]
    assert shim.process.wait(20) == 0


def test_shim_wrong_specification_is_refused_and_exits_0(shim: Shim) -> None:
    shim.send(b'{"protocol": 99}\n')
    assert json.loads(shim.connection.readline())["error"] == protocol.ERROR_PROTOCOL
    assert shim.process.wait(20) == 0


def test_shim_program_that_is_not_there_is_reported_and_recorded(shim: Shim) -> None:
    report = shim.start("/no/such/vllm")
    assert report["error"] == protocol.ERROR_SPAWN
    assert "/no/such/vllm" in report["message"]
    assert shim.process.wait(20) == 0
    assert "No such file" in shim.exit_record()["error"]


def test_shim_keeps_output_and_exit_status(shim: Shim) -> None:
    report = shim.start("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    assert report["engine_pid"] > 0
    assert shim.process.wait(20) == 0
    record = shim.exit_record()
    assert (record["exit_code"], record["requested"], record["tail"]) == (7, False, ["out", "err"])
    assert (shim.directory / "chat.log").read_text() == "out\nerr\n"


def test_shim_is_in_no_folder_that_somebody_may_want_to_unmount(shim: Shim) -> None:
    shim.start("/bin/sleep", "60", cwd=str(shim.directory))
    engine = shim.ask({"op": "status"})["engine_pid"]
    assert os.readlink(f"/proc/{engine}/cwd") == str(shim.directory)
    assert os.readlink(f"/proc/{shim.process.pid}/cwd") == "/"


def test_shim_second_one_for_an_engine_is_refused(shim: Shim) -> None:
    shim.start("/bin/sleep", "60")
    second = Shim(shim.directory)
    assert second.start("/bin/sleep", "60")["error"] == protocol.ERROR_RUNNING
    assert second.process.wait(20) == 0
    assert shim.ask({"op": "status"})["stopping"] is False


def test_shim_answers_status_tail_and_unknown(shim: Shim) -> None:
    report = shim.start("/bin/sh", "-c", "echo hello; exec sleep 60")
    status = shim.ask({"op": "status"})
    assert status["engine_pid"] == report["engine_pid"]
    for _ in range(100):
        if shim.ask({"op": "tail", "lines": 5})["lines"] == ["hello"]:
            break
        time.sleep(0.02)
    else:
        pytest.fail("the line never came")
    assert "unknown op" in shim.ask({"op": "dance"})["error"]


def test_shim_watcher_learns_the_end(shim: Shim) -> None:
    shim.start("/bin/sleep", "60")
    stream = shim.connect()
    stream.write(b'{"op":"watch"}\n')
    stream.flush()
    assert json.loads(stream.readline())["run_id"] == "run-1"
    assert shim.ask({"op": "stop", "grace_s": 5}) == {"ok": True}
    record = json.loads(stream.readline())
    assert (record["signal"], record["requested"]) == (signal.SIGTERM, True)
    assert record == shim.exit_record()


def test_shim_sigterm_stops_the_engine_and_leaves_nothing(shim: Shim) -> None:
    report = shim.start("/bin/sh", "-c", "sleep 61 & wait", stop_grace_s=5)

    def child_runs() -> bool:
        found = proc.session_members(report["engine_pid"])
        return any(proc.describe(stat).startswith("sleep 61") for stat in found)

    wait_for("its child", child_runs)
    shim.process.terminate()
    assert shim.process.wait(20) == 0
    record = shim.exit_record()
    assert record["requested"] is True
    assert record["killed"][0].startswith("sleep 61")
    with pytest.raises(ProcessLookupError):
        os.kill(report["engine_pid"], 0)


BAD_LINES = [
    b'{"op":"tail","lines":"x"}',
    b'{"op":"tail","lines":1e400}',
    b'{"op":"stop","grace_s":null}',
    b'{"op":"stop","grace_s":NaN}',
    b'{"op":"stop","grace_s":-1}',
    b'{"op":"stop","grace_s":1e400}',
    b'{"op":"rotation","rotation":{"max_bytes":-1}}',
    b'{"op":[[[[]]]]}',
    b"[" * 60_000,
    b"\xff\x00\xfe",
    b"1" * 60_000,
]


def test_shim_bad_requests_touch_no_engine_and_its_end_is_recorded(shim: Shim) -> None:
    report = shim.start("/bin/sleep", "60")
    stream = shim.connect()
    for line in BAD_LINES:
        stream.write(line + b"\n")
        stream.flush()
        assert isinstance(json.loads(stream.readline())["error"], str), line[:60]
    status = shim.ask({"op": "status"})
    assert (status["engine_pid"], status["stopping"]) == (report["engine_pid"], False)
    assert status["mistakes"] == 0
    os.kill(report["engine_pid"], 0)
    assert shim.ask({"op": "stop", "grace_s": 86400 * 60}) == {"ok": True}  # more than poll takes
    assert shim.process.wait(20) == 0
    assert shim.exit_record()["signal"] == signal.SIGTERM


@pytest.mark.long
def test_shim_attacked_by_clients_that_do_not_read_serves_on_in_16_mb(shim: Shim) -> None:
    shim.start("/bin/sh", "-c", "head -c 300000 /dev/urandom; exec sleep 60", tail_bytes=65536)
    attackers = []
    for _ in range(40):
        attacker = socket.socket(socket.AF_UNIX)
        attacker.connect(str(shim.directory / protocol.SOCKET_NAME))
        attacker.setblocking(False)
        attackers.append(attacker)
    for turn in range(60):
        for attacker in attackers:
            lines = [b'{"op":"tail","lines":100000}\n' * 500, b"x" * 60_000, b'{"op":"watch"}\n']
            with contextlib.suppress(OSError):  # full, or given up
                attacker.send(lines[turn % 3])
    stream = shim.connect()
    for _ in range(200):
        stream.write(protocol.encode({"op": "status"}))
        stream.flush()
        assert json.loads(stream.readline())["mistakes"] == 0
    status = Path(f"/proc/{shim.process.pid}/status").read_text()
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    assert peak < 16 * 1024
    shim.process.terminate()
    assert shim.process.wait(20) == 0
    assert shim.exit_record()["requested"] is True
    for attacker in attackers:
        attacker.close()


BROKEN = """
import sys
sys.path.insert(0, {root!r})
from vllmd.shim import main, tree
from vllmd.shim.output import Output
real = tree.EngineTree.sweep
turns = 0
def sweep(self):
    global turns
    turns += 1
    if turns % 2:
        raise OSError(24, "Too many open files")
    return real(self)
tree.EngineTree.sweep = sweep
def fails(self, *_):
    raise RuntimeError("nobody thought of this")
Output.drain = Output.drain_all = Output.tail = Output.close = fails
sys.exit(main.main())
"""


def test_shim_its_own_mistakes_end_neither_it_nor_the_account_of_the_end(tmp_path: Path) -> None:
    root = str(Path(shim_program.__file__).parents[2])
    shim = Shim(tmp_path, "-c", BROKEN.format(root=root))
    shim.start("/bin/sh", "-c", "echo hello; sleep 1; exit 7")
    assert "RuntimeError" in shim.ask({"op": "tail"})["error"]
    assert shim.ask({"op": "status"})["mistakes"] > 0
    assert shim.process.wait(30) == 0
    assert shim.exit_record()["exit_code"] == 7
    assert shim.process.stderr is not None
    told = shim.process.stderr.read().decode()
    assert "Too many open files" in told
    assert told.count("vllmd shim: mistake") <= 30


def test_shim_with_nowhere_to_write_runs_its_engine_to_the_end(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        shim = Shim(tmp_path, stderr=full)
    (tmp_path / "run.json.new").mkdir()  # no record can be written either
    (tmp_path / "exit.json.new").mkdir()
    report = shim.start("/bin/sleep", "60")
    stream = shim.connect()
    stream.write(b'{"op":"watch"}\n')
    stream.flush()
    assert json.loads(stream.readline())["engine_pid"] == report["engine_pid"]
    shim.process.terminate()
    assert json.loads(stream.readline())["requested"] is True
    assert shim.process.wait(20) == 0


def test_shim_a_terminal_that_closes_ends_nothing(shim: Shim) -> None:
    report = shim.start("/bin/sleep", "60")
    shim.process.send_signal(signal.SIGHUP)
    for _ in range(3):
        assert shim.ask({"op": "status"})["stopping"] is False
    os.kill(report["engine_pid"], 0)


def test_shim_puts_back_what_was_removed_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "engines" / "chat"
    folder.mkdir(parents=True)
    shim = Shim(folder)
    report = shim.start("/bin/sleep", "60", log=str(tmp_path / "chat.log"))
    watching = shim.connect()
    watching.write(b'{"op":"watch"}\n')
    watching.flush()
    began = json.loads(watching.readline())
    shutil.rmtree(tmp_path / "engines")
    shim.process.send_signal(signal.SIGHUP)
    wait_for("its socket", (folder / protocol.SOCKET_NAME).exists)
    assert read_record(str(folder / protocol.RUN_RECORD_NAME)) == {
        name: began[name] for name in RunRecord.__annotations__ if name in began
    }
    assert shim.ask({"op": "status"})["engine_pid"] == report["engine_pid"]
    second = Shim(folder)
    assert second.start("/bin/sleep", "60")["error"] == protocol.ERROR_RUNNING
    assert second.process.wait(20) == 0
    shim.process.terminate()
    assert json.loads(watching.readline())["requested"] is True
    assert shim.process.wait(20) == 0
    assert shim.exit_record()["engine_pid"] == report["engine_pid"]


def test_shim_puts_nothing_back_into_a_folder_in_which_another_began(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    folder.mkdir()
    first, second = Shim(folder), Shim(folder)
    first.start("/bin/sleep", "60", log=str(tmp_path / "chat.log"))
    shutil.rmtree(folder)
    folder.mkdir()
    report = second.start("/bin/sleep", "60", log=str(tmp_path / "chat.log"), run_id="second")
    first.process.send_signal(signal.SIGHUP)
    assert b"another shim runs in" in first.process.stderr.readline()  # type: ignore[union-attr]
    record = read_record(str(folder / protocol.RUN_RECORD_NAME))
    assert record is not None
    assert record["run_id"] == "second"
    assert second.ask({"op": "status"})["engine_pid"] == report["engine_pid"]
    for shim in (first, second):
        shim.process.terminate()
        assert shim.process.wait(20) == 0


def test_shim_keeps_its_connection_in_one_place_only(shim: Shim) -> None:
    shim.start("/bin/sleep", "60")
    assert shim.connection.read() == b""
    open_files = Path("/proc", str(shim.process.pid), "fd")
    assert os.readlink(open_files / "0") == "/dev/null"


def test_shim_fits_in_16_mb(shim: Shim) -> None:
    shim.start("/bin/sh", "-c", "seq 1 200000; exec sleep 60")
    status = Path(f"/proc/{shim.process.pid}/status").read_text()
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    assert peak < 16 * 1024


def test_shim_burst_of_output_is_kept_whole(shim: Shim) -> None:
    shim.start("/bin/sh", "-c", "seq 1 300000")
    shim.process.wait(30)
    expected = "".join(f"{n}\n" for n in range(1, 300001))
    assert (shim.directory / "chat.log").read_text() == expected
    assert shim.exit_record()["tail"][-1] == "300000"


def test_shim_rotates_its_log_when_asked_and_says_what_is_not_finished(shim: Shim) -> None:
    shim.start("/bin/sh", "-c", "echo one; printf 'bar 1%%\\rbar 2%%'; sleep 60")
    log = shim.directory / "chat.log"
    wait_for("the first line", lambda: log.exists() and log.read_text() == "one\n")
    assert shim.ask({"op": "rotate"}) == {"ok": True}
    first = shim.directory / "chat.log.000001"
    wait_for("the rotated file", first.exists)
    status = shim.ask({"op": "status"})
    assert status["unfinished"] == "bar 2%"
    assert (status["log_rotations"], status["log_dropped_lines"]) == (1, 0)
    assert shim.ask({"op": "rotation", "rotation": {"keep": 1}}) == {"ok": True}
    shim.ask({"op": "stop", "grace_s": 5})
    wait_for("its end", (shim.directory / "exit.json").exists)
    assert (first.read_text(), log.read_text()) == ("one\n", "bar 2%\n")


def test_listen_to_output_is_not_told_of_the_pipe_while_it_gathers() -> None:
    registered: list[int] = []
    waits = [0.0, 0.1, 0.0]
    watched = shim_main.Shim.__new__(shim_main.Shim)
    watched._output_ended = watched._reading = False
    watched._output = SimpleNamespace(read_fd=7, wait_s=lambda: waits.pop(0))  # type: ignore[assignment]
    watched._poll = SimpleNamespace(  # type: ignore[assignment]
        register=lambda fd, _: registered.append(fd), unregister=registered.remove
    )
    assert watched._listen_to_output() == 0.0
    assert registered == [7]
    assert watched._listen_to_output() == 0.1
    assert registered == []
    assert watched._listen_to_output() == 0.0
    assert registered == [7]
