import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import config
from tests.helpers.parts import running
from tests.helpers.site import wait_for
from vllmd.engine.output.service import LOOK_S, OutputService, rotation_of
from vllmd.errors import UnknownEngineError
from vllmd.events.engine import LogNotCompressed


def made(folder: Path, text: str = "") -> OutputService:
    places = "".join(f'{d}_dir = "{folder}/{d}"\n' for d in ("run", "state", "log"))
    for name in ("run/engines/chat", "state/engines", "log"):
        (folder / name).mkdir(parents=True)
    return OutputService(
        config(f'[daemon]\n{places}[logs]\n{text}\n[engines.chat]\nmodel = "m"\n'), CLOCK
    )


CLOCK = FakeClock()


def test_rotation_of_the_configuration_is_in_bytes(tmp_path: Path) -> None:
    outputs = made(tmp_path, 'rotate = "hourly"\nrotate_mb = 2\nkeep = 3\nbudget_mb = 9')
    assert outputs.rotation == {
        "period": "hourly",
        "max_bytes": 2 << 20,
        "keep": 3,
        "budget_bytes": 9 << 20,
    }
    assert rotation_of(config("").logs)["keep"] == 14


def test_look_reads_the_output_of_an_engine_at_once(tmp_path: Path) -> None:
    outputs = made(tmp_path)
    (tmp_path / "log" / "chat.log").write_text("ERROR 11-23 18:48:59 [a.py:1] boom\n")
    outputs.look("chat")
    outputs.look("another")
    assert outputs.errors["chat"].before(()) == ["ERROR 11-23 18:48:59 [a.py:1] boom"]
    outputs.close()


async def test_run_follows_and_compresses(tmp_path: Path) -> None:
    outputs = made(tmp_path)
    log = tmp_path / "log" / "chat.log"
    async with running(outputs.parts(), CLOCK):
        await follows(outputs, log)
    outputs.close()


async def follows(outputs: OutputService, log: Path) -> None:
    for number in (1, 2):
        log.with_name(f"chat.log.{number:06d}").write_text("INFO 11-23 x\n")
    log.write_text("INFO 11-23 x\n")

    def counted() -> bool:
        (figures,) = outputs.figures()
        return figures.lines["info"] == 3

    for _ in range(100):
        await CLOCK.advance(LOOK_S)
        await asyncio.sleep(0.01)
        if counted() and log.with_name("chat.log.000001.gz").exists():
            break
    assert counted()
    assert log.with_name("chat.log.000001.gz").exists()


async def test_run_tells_once_what_cannot_be_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = made(tmp_path)
    monkeypatch.setattr(
        "vllmd.engine.output.engine_output.EngineOutput.compress", lambda _: "a.log: no"
    )
    with capture_logs() as logged:
        await outputs._compress_all()
        await outputs._compress_all()
    assert [e["event"] for e in logged] == [LogNotCompressed.name]


async def test_rotate_of_an_unknown_engine_names_those_there_are(tmp_path: Path) -> None:
    outputs = made(tmp_path)
    with pytest.raises(UnknownEngineError, match="there is: chat"):
        await outputs.rotate("other")
    await outputs.rotate("chat")


def test_journal_gets_the_lines_if_that_is_wanted(tmp_path: Path) -> None:
    found = made(tmp_path, "journal = true").not_copied()
    assert found == {"journal": {"chat": 0}, "stdout": {}}


async def test_stdout_gets_the_lines_while_that_is_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = made(tmp_path, "stdout = true")
    log = tmp_path / "log" / "chat.log"
    with log.open("ab") as file:
        file.write(b"INFO one\n")
    outputs.look("chat")
    said: list[str] = []

    def is_there() -> bool:
        said.append(capfd.readouterr().out)
        return "".join(said) == "chat | INFO one\n"

    wait_for("the line, which a thread writes", is_there)
    assert outputs.not_copied()["stdout"] == {"chat": 0}


async def test_a_mistake_in_compressing_costs_that_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = FakeClock(), []

    def fails(_: object) -> None:
        asked.append(1)
        raise RuntimeError("a mistake")

    monkeypatch.setattr("vllmd.engine.output.engine_output.EngineOutput.compress", fails)
    outputs = made(tmp_path)
    async with running(outputs.parts(), clock) as parts:
        for _ in range(100):
            await clock.advance(1)
            await asyncio.sleep(0.01)
            if len(asked) > 1:
                break
        assert parts.failures() == {"logs": 0, "log_compression": len(asked)}
    outputs.close()
    assert len(asked) > 1
