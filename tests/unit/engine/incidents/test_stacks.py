import errno
import os
from pathlib import Path

import pytest

from vllmd.engine.incidents import stacks as stacks_module
from vllmd.engine.incidents.stacks import take_stacks
from vllmd.util.clock import SystemClock
from vllmd.util.loop_lag import LoopLag

LAG = LoopLag(SystemClock())


def fake_py_spy(folder: Path, script: str) -> str:
    """Put a py-spy beside an engine's program; returns the program."""
    tool = folder / "py-spy"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return str(folder / "vllm")


async def test_take_stacks_does_not_stop_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    stacks = await take_stacks([os.getpid(), 7], 30, fake_py_spy(tmp_path, 'echo "$@"'), LAG)
    assert f"# pid {os.getpid()}\ndump --nonblocking --pid {os.getpid()}\n" in stacks
    assert "# pid 7" in stacks


async def test_take_stacks_is_cut_off_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    stacks = await take_stacks([1], 0.2, fake_py_spy(tmp_path, "exec sleep 60"), LAG)
    assert "cut off after 0.2 s" in stacks


async def test_take_stacks_without_py_spy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "py-spy is not installed" in await take_stacks([1], 1, "/no/vllm", LAG)


async def test_take_stacks_beside_a_program_whose_disk_hangs_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(path: str, *_: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "no answer within 2 s", path)

    monkeypatch.setattr(stacks_module, "run_within", hangs)
    stacks = await take_stacks([1], 1, "/nfs/bin/vllm", LAG)
    assert stacks == "no stacks: no answer within 2 s (/nfs/bin)\n"
