"""vllmd as the first process of a PID namespace, as in a container, on a real GPU.

NVML tells a process of a namespace its own pids only: what others hold has no owner there.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.test_real import core, host, owners, smi
from tests.helpers.site import Site, wait_for
from vllmd.shim import proc

NAMESPACE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")
MIB = 1024**2


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    one = host(tmp_path)
    one.under = NAMESPACE
    one.start()
    try:
        one.wait_state("chat", "ready", 120)
        yield one
    finally:
        one.kill_daemon()


def first_process(made: Site) -> int:
    """Return the daemon's pid as this namespace has it: the one child of unshare."""
    (pid,) = [
        each.pid for each in proc.descendants(made.daemon.pid) if each.ppid == made.daemon.pid
    ]
    return pid


def main_process(made: Site) -> int:
    """Return the engine's main process."""
    (pid,) = [
        each.pid
        for each in proc.descendants(made.daemon.pid)
        if "engine.py serve" in proc.command_line(each.pid)
    ]
    return pid


def test_memory_has_its_owner_and_comes_back(made: Site) -> None:
    total = made.control.gpus()["gpus"][0]["values"]["memory_total_bytes"]
    assert made.engine("chat")["shim_pid"] < 1000, "the daemon is in a namespace of its own"
    engine = wait_for("the engine's memory", lambda: owners(made).get("engine", 0))
    assert 0.38 * total < engine < 0.42 * total
    with core(0.3) as (_, said):
        assert said.startswith("READY"), said

        def seen() -> dict[str, int] | None:
            found = owners(made)
            others = found.get("foreign", 0) + found.get("unattributed", 0)
            return found if others > 0.25 * total else None

        found = wait_for("what the process outside holds", seen)
        assert abs(found["engine"] - engine) < 0.01 * total
        REPORT.append(f"in a PID namespace, a process outside holds 0.3: {found}")
        REPORT.append("vllmd gpu:\n" + made.vllmd("gpu").stdout)
    wait_for(
        "the process outside is gone",
        lambda: owners(made)["unattributed"] < found["unattributed"] - 0.25 * total,
    )

    before = made.engine("chat")
    os.kill(main_process(made), signal.SIGKILL)
    made.wait_new_run("chat", before, 180)
    wait_for("memory again", lambda: owners(made).get("engine", 0) > 0.38 * total)
    assert owners(made).get("orphan", 0) == 0

    assert made.vllmd("stop", "chat").returncode == 0
    assert owners(made).get("engine", 0) == 0
    line = made.log().rsplit("engine.end_proven", 1)[1].splitlines()[0]
    assert "in_the_way=[]" in line
    assert made.vllmd("start", "chat").returncode == 0
    made.wait_state("chat", "ready", 120)

    wait_for("memory once more", lambda: owners(made).get("engine", 0) > 0.38 * total)
    before_mib = float(smi("memory.used")[0])
    os.kill(first_process(made), signal.SIGTERM)
    assert made.daemon.wait(60) == 0
    assert before_mib - float(smi("memory.used")[0]) > 0.35 * total / MIB
