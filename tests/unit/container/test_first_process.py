"""The first process, as a subreaper of its own: tests/container has it as PID 1."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.site import wait_for
from vllmd.container import __main__ as program
from vllmd.shim import proc

SUBREAPER = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", {program.__file__!r}, *sys.argv[1:]])
"""
DAEMON = """
import os, signal, sys, time
code, folder = int(sys.argv[1]), sys.argv[2]
def told(number, frame):
    with open(folder + "/told", "a") as file:
        file.write(signal.Signals(number).name + " ")
    if number != signal.SIGHUP:
        sys.exit(code)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, told)
if len(sys.argv) > 3 and not os.path.exists(folder + "/engine"):
    engine = os.fork()
    if engine == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(600)
    open(folder + "/engine", "w").write(str(engine))
with open(folder + "/daemons", "a") as file:
    file.write(str(os.getpid()) + " ")
while True:
    time.sleep(600)
"""


class First:
    """A first process and what its daemons wrote down."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        argv = [sys.executable, "-c", SUBREAPER, *command]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)

    def read(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def daemons(self, count: int) -> list[int]:
        wait_for("a daemon", lambda: len(self.read("daemons")) == count)
        return [int(pid) for pid in self.read("daemons")]


@pytest.fixture
def firsts() -> Iterator[list[First]]:
    """Return a list of what is to be ended."""
    found: list[First] = []
    yield found
    for each in found:
        each.process.kill()
        each.process.wait()
        for pid in (*each.read("daemons"), *each.read("engine")):
            stat = proc.read_stat(int(pid))
            if stat is not None and not stat.is_zombie and stat.name.startswith("python"):
                os.kill(int(pid), signal.SIGKILL)
        assert each.process.stderr is not None
        each.process.stderr.close()


def start(firsts: list[First], folder: Path, *more: str) -> First:
    command = [sys.executable, "-c", DAEMON, more[0], str(folder), *more[1:]]
    firsts.append(First(folder, *command))
    return firsts[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_is_handed_on_and_the_daemons_code_is_the_end(
    firsts: list[First], tmp_path: Path, number: signal.Signals
) -> None:
    first = start(firsts, tmp_path, "7")
    first.daemons(1)
    first.process.send_signal(signal.SIGHUP)
    wait_for("SIGHUP", lambda: first.read("told") == ["SIGHUP"])
    first.process.send_signal(number)
    assert first.process.wait() == 7
    assert first.read("told") == ["SIGHUP", number.name]


def test_daemon_that_is_killed_is_started_again_while_an_engine_is_left(
    firsts: list[First], tmp_path: Path
) -> None:
    first = start(firsts, tmp_path, "0", "engine")
    os.kill(first.daemons(1)[0], signal.SIGKILL)
    again = first.daemons(2)[1]
    engine = proc.read_stat(int(first.read("engine")[0]))
    assert engine is not None
    assert (engine.ppid, engine.is_zombie) == (first.process.pid, False)
    os.kill(again, signal.SIGKILL)
    first.daemons(3)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait() == 0
    assert proc.read_stat(engine.pid) is None
    said = first.process.communicate()[1]
    assert "the daemon ended by SIGKILL; its engines serve on; another one in 0.5 s" in said


def test_daemon_that_cannot_be_started_is_tried_again_while_an_engine_is_left(
    firsts: list[First], tmp_path: Path
) -> None:
    script, away = tmp_path / "daemon", tmp_path / "away"
    script.write_text(f"#!{sys.executable}\n{DAEMON}")
    script.chmod(0o755)
    firsts.append(first := First(tmp_path, str(script), "0", str(tmp_path), "engine"))
    (daemon,) = first.daemons(1)
    script.rename(away)
    os.kill(daemon, signal.SIGKILL)
    assert first.process.stderr is not None
    assert "ended by SIGKILL" in first.process.stderr.readline()
    assert "no daemon can be started: No such file" in first.process.stderr.readline()
    away.rename(script)
    first.daemons(2)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait() == 0


def test_words_that_nobody_reads_end_nothing(firsts: list[First], tmp_path: Path) -> None:
    first = start(firsts, tmp_path, "0", "engine")
    assert first.process.stderr is not None
    first.process.stderr.close()
    os.kill(first.daemons(1)[0], signal.SIGKILL)
    first.daemons(2)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait() == 0


def test_first_daemon_that_cannot_be_started_is_the_end(
    firsts: list[First], tmp_path: Path
) -> None:
    firsts.append(First(tmp_path, "/no/such/program"))
    assert firsts[-1].process.wait() == 71


def test_daemon_that_ends_with_nothing_left_is_the_end(firsts: list[First], tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit(78)")
    firsts.append(First(tmp_path, *command))
    assert firsts[-1].process.wait() == 78
    first = start(firsts, tmp_path, "0")
    os.kill(first.daemons(1)[0], signal.SIGKILL)
    assert first.process.wait() == 128 + signal.SIGKILL


def test_orphans_are_reaped(firsts: list[First], tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        "for _ in range(50):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        os.fork()\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        f"open({str(tmp_path / 'daemons')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    firsts.append(First(tmp_path, sys.executable, "-c", script))
    first = firsts[-1]
    daemon = first.daemons(1)[0]

    def children() -> list[int]:
        return [each.pid for each in proc.all_processes() if each.ppid == first.process.pid]

    wait_for("nothing but the daemon", lambda: children() == [daemon])
