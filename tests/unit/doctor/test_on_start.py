"""What the doctor says of engines that are started; with a daemon in tests/integration."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.make import config, status
from vllmd.config.load import load
from vllmd.config.model import Config
from vllmd.doctor import on_start
from vllmd.doctor.on_start import OnStartDoctor
from vllmd.engine.state_machine import State
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineDoubted, EngineExited, EngineNotExamined, EngineSpawned

TEXT = """
[engines.chat]
model = "m"
executable = "sh"

[engines.toy]
model = "m"
executable = "stand-in"
port = 8001
"""


def doctor(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> Config:
    """Let a script stand in for Python, and so for the doctor."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho x >> {folder}/asked\ncat {folder}/said\nexit {code}\n")
    program.chmod(0o755)
    (folder / "said").write_text(said)
    monkeypatch.setattr(sys, "executable", str(program))
    path = folder / "vllmd.toml"
    path.write_text(TEXT)
    return load(path)[0]


def finding(found: str, severity: str = "warning") -> dict[str, Any]:
    return {"check": "clock", "severity": severity, "found": found, "fix": "do"}


def spawned(engine: str) -> Event:
    return Event(1.0, EngineSpawned.name, "info", engine)


async def looked(made: OnStartDoctor, *engines: str) -> list[dict[str, Any]]:
    """Return what is logged while starts are looked at."""
    with capture_logs() as logs:
        task = asyncio.create_task(made.run())
        for engine in engines:
            made.put(spawned(engine))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await made.idle.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return [dict(each) for each in logs]


async def test_findings_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"findings": [finding("a"), finding("b", "error"), finding("c", "info")]}
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, json.dumps(first)), tmp_path / "s")
    logs = await looked(made, "chat")
    assert [(each["event"], each["found"], each["severity"]) for each in logs] == [
        (EngineDoubted.name, "a", "warning"),
        (EngineDoubted.name, "b", "error"),
    ]
    assert await looked(made, "chat") == []
    (tmp_path / "said").write_text(json.dumps({"findings": [finding("d")]}))
    assert [each["found"] for each in await looked(made, "chat")] == ["d"]
    (tmp_path / "said").write_text(json.dumps(first))
    assert [each["found"] for each in await looked(made, "chat")] == ["a", "b"]


async def test_doctor_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 70, "{}"), tmp_path / "s")
    (told,) = await looked(made, "chat")
    assert told["event"] == EngineNotExamined.name
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 0, "no JSON"), tmp_path / "s")
    (told,) = await looked(made, "chat")
    assert told["event"] == EngineNotExamined.name


async def test_doctor_that_ends_by_an_error_of_its_own_is_said_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, ""), tmp_path / "s")
    (tmp_path / "python").write_text("#!/bin/sh\necho 'No module named attrs' >&2\nexit 1\n")
    (told,) = await looked(made, "chat")
    assert told["problem"] == "No module named attrs"


async def test_doctor_finds_the_libraries_that_the_daemon_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/opt/libraries")
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, ""), tmp_path / "s")
    (tmp_path / "python").write_text('#!/bin/sh\necho "$PYTHONPATH" >&2\nexit 1\n')
    (told,) = await looked(made, "chat")
    assert told["problem"].split(":")[-1] == "/opt/libraries"
    assert (Path(told["problem"].split(":")[0]) / "vllmd" / "doctor").is_dir()


async def test_doctor_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 0, ""), tmp_path / "s")
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(on_start, "LOOK_S", 0.2)
    (told,) = await looked(made, "chat")
    assert "not done within" in told["problem"]


async def test_starts_that_need_no_look_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 0, "{}"), tmp_path / "s")
    made.put(spawned("toy"))
    made.put(spawned("stranger"))
    made.put(Event(1.0, EngineExited.name, "info", "chat"))
    assert made._waiting == []
    unnamed = OnStartDoctor(config(TEXT), tmp_path / "s")  # no file that a doctor could read
    unnamed.put(spawned("chat"))
    assert unnamed._waiting == []
    made.put(spawned("chat"))
    made.put(spawned("chat"))
    assert made._waiting == ["chat"]


async def test_doctor_that_cannot_be_started_is_said_and_the_next_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is short when engines crash: then no process can be made either."""
    said = json.dumps({"findings": [finding("a")]})
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, said), tmp_path / "s")
    with monkeypatch.context() as short:
        short.setattr(sys, "executable", "/nonexistent/python")
        (told,) = await looked(made, "chat")
    assert told["event"] == EngineNotExamined.name
    assert "/nonexistent/python" in told["problem"]
    with monkeypatch.context() as short:
        refuses = OSError(11, "Resource temporarily unavailable")
        short.setattr(asyncio, "create_subprocess_exec", raising(refuses))
        (told,) = await looked(made, "chat")
    assert "temporarily unavailable" in told["problem"]
    assert [each["found"] for each in await looked(made, "chat")] == ["a"]


def raising(error: Exception) -> Any:
    async def fails(*_: Any, **__: Any) -> None:
        raise error

    return fails


@pytest.mark.parametrize(
    "said", ["[]", "7", '{"findings": [7]}', '{"findings": [{}]}', '{"findings": null}', "[" * 9999]
)
async def test_doctor_that_prints_something_else_is_said(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, said), tmp_path / "s")
    (told,) = await looked(made, "chat")
    assert told["event"] == EngineNotExamined.name


async def test_findings_are_kept_for_the_start_that_is_under_way_also_those_that_are_not_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps({"findings": [finding("no folder", "error")]})
    made = OnStartDoctor(doctor(tmp_path, monkeypatch, 1, said), tmp_path / "s")
    loading = status(state=State.LOADING)
    for _ in range(2):
        await looked(made, "chat")
        assert [doubt.found for doubt in made.doubts.of(loading)] == ["no folder"]
    made.put(spawned("chat"))
    assert made.doubts.of(loading) == ()
