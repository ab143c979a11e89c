import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class CoreProcess:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vllmd.demo.core", "m", "0", "0.001", "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.receive() == {"ready": True}

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))


@pytest.fixture
def core() -> Iterator[CoreProcess]:
    started = CoreProcess()
    yield started
    started.process.kill()
    started.process.wait()


def test_core_gives_each_request_its_tokens(core: CoreProcess) -> None:
    core.send({"id": "a", "prompt_tokens": 5, "max_tokens": 3})
    steps = [core.receive() for _ in range(3)]
    assert [step["step_tokens"] for step in steps] == [6, 1, 1]
    assert steps[-1]["finished"] == ["a"]
    assert steps[-1]["running"] == 0


def test_core_runs_no_more_than_it_may(core: CoreProcess) -> None:
    lines = [{"id": str(n), "prompt_tokens": 1, "max_tokens": 50} for n in range(3)]
    assert core.process.stdin is not None
    core.process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    core.process.stdin.flush()
    for _ in range(20):
        step = core.receive()
        assert step["running"] <= 2
        if step["running"] == 2 and step["waiting"] == 1:
            return
    pytest.fail("the third request never waited")


def test_core_lives_on_when_its_api_server_is_gone(core: CoreProcess) -> None:
    assert core.process.stdin is not None
    core.process.stdin.close()
    time.sleep(0.3)
    assert core.process.poll() is None
    title = Path(f"/proc/{core.process.pid}/cmdline").read_bytes().strip(b"\0")
    assert title == b"VLLM::EngineCore"
    os.kill(core.process.pid, signal.SIGTERM)
    assert core.process.wait(10) == 0
