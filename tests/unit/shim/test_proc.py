import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.site import wait_for
from vllmd.shim import proc

STAT = (
    b"123 (VLLM::Engine) Co) S 7 123 99 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 424242 1000 10 "
    b"18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
)


def test_parse_stat_name_with_parentheses() -> None:
    stat = proc.parse_stat(STAT)
    assert (stat.pid, stat.name, stat.ppid) == (123, "VLLM::Engine) Co", 7)
    assert (stat.session, stat.start_ticks, stat.is_zombie) == (99, 424242, False)


def test_read_stat_of_nobody_is_none() -> None:
    assert proc.read_stat(2**22 + 1) is None


class NoDescriptors:
    """Stands for `open` in `proc`: nothing of `/proc` can be opened."""

    def __init__(self, number: int, path: str = "/proc/") -> None:
        self._number, self._path = number, path

    def __call__(self, path: str, *more: Any, **named: Any) -> Any:
        if str(path).startswith(self._path):
            raise OSError(self._number, os.strerror(self._number), path)
        return open(path, *more, **named)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_all_processes_that_cannot_be_read_are_not_gone(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(proc, "open", NoDescriptors(number), raising=False)
    for look in (
        lambda: list(proc.all_processes()),
        lambda: proc.descendants(os.getpid()),
        lambda: proc.session_members(os.getsid(0)),
        lambda: proc.look_at(os.getpid()),
    ):
        with pytest.raises(OSError, match=os.strerror(number)):
            look()
    assert proc.read_stat(os.getpid()) is None


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM])
def test_all_processes_those_that_ended_or_are_hidden_are_left_out(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    own = f"/proc/{os.getpid()}/"
    monkeypatch.setattr(proc, "open", NoDescriptors(number, own), raising=False)
    found = {stat.pid for stat in proc.all_processes()}
    assert os.getpid() not in found
    assert os.getppid() in found


def test_descendants_finds_grandchildren_and_session_members() -> None:
    script = "import subprocess as s; s.Popen(['sleep', '60']); print(1, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        names: list[str] = []
        while "sleep" not in names:  # the kernel wakes the parent before it sets the new name
            found = proc.descendants(os.getpid())
            names = [s.name for s in found if s.session == child.pid]
        leader = next(s.name for s in found if s.pid == child.pid)
        assert sorted(names) == sorted([leader, "sleep"])
        members = proc.session_members(child.pid)
        assert {s.name for s in members} == set(names)
        sleep = next(s for s in members if s.name == "sleep")
        wait_for("its arguments", lambda: proc.describe(sleep).startswith("sleep 60"))
    finally:
        for stat in proc.session_members(child.pid):
            os.kill(stat.pid, 9)
        child.wait()


def test_is_resource_tracker_goes_by_the_command_line() -> None:
    code = "0 and 'multiprocessing.resource_tracker'; input()"
    code = f"print(1, flush=True); {code}"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        assert proc.is_resource_tracker(child.pid)
        assert not proc.is_resource_tracker(os.getpid())
    finally:
        child.kill()
        child.wait()


def test_boot_id_is_stable() -> None:
    assert proc.boot_id() == proc.boot_id.__wrapped__() != ""


def test_boot_id_that_was_read_needs_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written down with each state of an engine: that must not end who watches it."""
    known = proc.boot_id()
    monkeypatch.setattr(proc, "open", NoDescriptors(errno.EMFILE), raising=False)
    assert proc.boot_id() == known


def test_boot_id_of_a_container_is_new_with_its_first_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "readlink", lambda _: proc.HOST_NAMESPACE)
    boot_id = proc.boot_id.__wrapped__
    host = boot_id()
    assert len(host) == 36
    monkeypatch.setattr(os, "readlink", lambda _: "pid:[4026532199]")
    ids = []
    for ticks in (500, 700):
        first = proc.Stat(1, "python3", "S", 0, 1, ticks)
        monkeypatch.setattr(proc, "read_stat", lambda _, first=first: first)
        ids.append(boot_id())
    assert ids == [f"{host}:500", f"{host}:700"]
    assert all(proc.same_kernel(host, each) for each in ids)
    assert not proc.same_kernel("a:1", "b:1")


@pytest.mark.parametrize(("before", "after"), [("-500", "0"), ("0", "0"), ("700", "700")])
def test_offer_to_oom_killer_takes_back_protection_only(
    tmp_path: Path, before: str, after: str
) -> None:
    score = tmp_path / "42" / "oom_score_adj"
    score.parent.mkdir()
    score.write_text(f"{before}\n")

    proc.offer_to_oom_killer(42, str(tmp_path))

    assert score.read_text().strip() == after


def test_offer_to_oom_killer_process_that_is_gone_is_no_error() -> None:
    proc.offer_to_oom_killer(2**22 + 1)


def test_command_line_of_a_process_and_of_nobody() -> None:
    assert "python" in proc.command_line(os.getpid())
    assert proc.command_line(2**22 + 1) == ""


def test_age_s_is_since_the_start_of_a_process() -> None:
    stat = proc.read_stat(os.getpid())
    assert stat is not None
    assert abs(proc.age_s(stat.start_ticks) - (time.time() - psutil.Process().create_time())) < 60
    assert proc.age_s(2**60) == 0


def test_ask_end_reaches_a_process_that_is_stopped() -> None:
    child = subprocess.Popen(["/bin/sleep", "600"])
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    proc.ask_end(child.pid)
    assert child.wait(20) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        proc.ask_end(child.pid)
