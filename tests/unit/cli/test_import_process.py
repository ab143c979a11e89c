"""A process that serves, read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.cli.import_process import launch_of, running
from vllmd.errors import VllmdError
from vllmd.importing.surroundings import Notes


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run what looks like vLLM: a Python with a script of that name."""
    (tmp_path / "vllm").write_text("print(flush=True)\ninput()\n")
    words = [sys.executable, str(tmp_path / "vllm"), "serve", "./m", "--port", "8123"]
    env = {"PATH": "/usr/bin", "CUDA_VISIBLE_DEVICES": "1", "MAIL": "/x"}
    started = subprocess.Popen(
        words, cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    started.stdout.readline()
    yield started
    started.kill()
    started.communicate()


def test_command_variables_and_folder_are_those_of_the_process(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    launch = launch_of(process.pid, Notes())
    assert launch.arguments == ("./m", "--port", "8123")
    assert launch.variables == {"CUDA_VISIBLE_DEVICES": "1"}
    assert launch.folder == str(tmp_path)
    assert any(each.pid == process.pid for each in running())


def test_other_processes_are_refused() -> None:
    with pytest.raises(VllmdError, match="is no server of vLLM"):
        launch_of(os.getpid(), Notes())
    with pytest.raises(VllmdError, match="there is no process"):
        launch_of(2**22 + 1, Notes())
