"""Every command that prints data, given what an engine, a client or a file may put into it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from tests.helpers.control import (
    FakeAdapters,
    FakeCosts,
    FakeEngine,
    FakeGpus,
    FakeHost,
    FakeTraces,
    control_socket,
)
from tests.helpers.make import gpu, gpu_device, gpu_figures
from tests.unit.cli.test_cost import shown as costs_shown
from tests.unit.cli.test_lora import adapter
from tests.unit.cli.test_traces import windows
from vllmd.cli.main import main
from vllmd.cli.screen.app import TopApp
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host, LocalSource
from vllmd.control.client import ControlClient
from vllmd.engine.exits import Exit
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.util.units import GIB

HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07\x1b\x1b[m]0;t\x07\x1bP$q\x1b\\\x1b[2J\x1b[31m\x9b31m\u202e\x7f\x08\r"
    "\nvllmd: forged"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
OURS = re.compile(r"\x1b\[(0|1|3[0-7])m")
OUR_WORDS = ("engine", "activity", "unit", "currency", "name")


def poisoned(value: Any, key: str = "") -> Any:
    """Put it into every text that is no word of ours."""
    if isinstance(value, str):
        return value if key in OUR_WORDS else value + HOSTILE
    if isinstance(value, dict):
        return {k: poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [poisoned(each, key) for each in value]
    return value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A daemon in which everything that is not ours is hostile, and colours as on a terminal."""
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_, **__: False)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the daemon's own log
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VLLMD_SOCKET", str(tmp_path / "c.sock"))
    log = tmp_path / "chat.log"
    line = re.sub("[\r\n]", " ", HOSTILE)
    log.write_bytes(f"ERROR {line}\nFooError: {line}\n".encode() + b"raw \x9b31m \xff\n")
    engine = FakeEngine(log=str(log))
    engine.status = attrs.evolve(
        engine.status,
        problem=HOSTILE,
        model=HOSTILE,
        served_names=(HOSTILE,),
        last_exit=Exit("1", False, 0.0, HOSTILE, killed=(HOSTILE,), error=HOSTILE),
    )
    host = FakeHost()
    host.printing = {"chat": HOSTILE}
    fields = {"requested": False, "text": HOSTILE, "cause": HOSTILE, "evidence": [HOSTILE]}
    said = {"explanation": HOSTILE, "advice": HOSTILE, "kind": "unknown"}
    host.found = [
        Event(time.time(), EngineExited.name, "error", "chat", {**fields, **said}, 1),
        Event(time.time(), HOSTILE, "error", HOSTILE, {HOSTILE: HOSTILE}, 2),
    ]
    host.plan |= {"added": [HOSTILE], "removed": [HOSTILE], "restart": {"a": [HOSTILE]}}
    holder = Holder(9, GIB, Owner.ORPHAN, HOSTILE, HOSTILE, HOSTILE, 1)
    device = gpu_device(name=f"H200{HOSTILE}")
    gpus = FakeGpus(gpu_figures(gpu(device=device, holders=(holder,)), mismatch=HOSTILE))
    gpus.killed = [HOSTILE]
    bad = adapter(HOSTILE, "failed", reason=HOSTILE, path=HOSTILE)
    with control_socket(
        tmp_path / "c.sock",
        engine,
        host=host,
        gpus=gpus,
        traces=FakeTraces(poisoned(windows(problem="p"))),
        adapters=FakeAdapters({"engine": "chat", "problem": HOSTILE, "adapters": [bad]}),
        costs=FakeCosts(poisoned(costs_shown())),
    ):
        path = json.dumps(HOSTILE)
        (tmp_path / "v.toml").write_text(
            f"[engines.chat]\nmodel = {path}\nserved_model_name = {path}\nexecutable = {path}\n"
            f"env = {{ A = {path} }}\nflags = {{ chat-template = {path} }}\n"
        )
        (tmp_path / "bad.toml").write_text(f"[engines.chat]\nmodel = 1\n{path} = {path}\n")
        yield tmp_path
    structlog.reset_defaults()


COMMANDS = (
    "status",
    "why",
    "why --log chat.log",
    "logs chat",
    "events",
    "gpu",
    "gpu reap --yes",
    "traces",
    "lora list",
    "cost",
    "reload",
    "check --config v.toml",
    "check --config bad.toml",
    "check --deep --offline --config v.toml",
    "doctor --offline --config v.toml",
)


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_command_shows_what_it_is_given_and_lets_none_of_it_act(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, as_json: bool
) -> None:
    arguments = [str(folder / w) if w.endswith((".toml", ".log")) else w for w in words.split()]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *(["--json"] if as_json else [])])
    assert ended.value.code in (0, 1, 78), capsys.readouterr().err
    printed = capsys.readouterr()
    output = printed.out + printed.err
    assert not OBEYED.search(OURS.sub("", output.replace("\x1b[31m\\x1b", "")))
    if as_json and printed.out:
        documents = printed.out.splitlines() if words in ("events", "logs chat") else [printed.out]
        assert all(json.loads(each) is not None for each in documents)
    else:
        assert "\nvllmd: forged" not in output
    assert "forged" in output or words == "cost"  # which has no text of others


@pytest.mark.long
async def test_top_shows_what_it_is_given_and_lets_none_of_it_act(folder: Path) -> None:
    client = ControlClient(folder / "c.sock")
    app = TopApp(
        [Host(LocalSource(client), local=True)], Feeds(client, folder / "v.toml"), client.path, 1e6
    )
    async with app.run_test(size=(160, 48)) as pilot:
        for key in ("1", "2", "3", "4", "5", "1", "enter", "w", "l", "y"):
            await pilot.press(key)
            await app.look()
            await pilot.pause()
            lines = app.screen._compositor.render_strips()
            shown = "\n".join("".join(part.text for part in line) for line in lines)
            assert not OBEYED.search(shown.replace("\n", ""))
            assert "\nvllmd: forged" not in shown
            assert "forged" in shown or key == "5"


@pytest.mark.parametrize(
    "words", [f"status {HOSTILE}", f"{HOSTILE}", f"logs {HOSTILE}", f"why {HOSTILE}"]
)
def test_error_shows_what_was_typed_and_lets_none_of_it_act(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with pytest.raises(SystemExit):
        main(words.split(" ", 1))
    assert not OBEYED.search(capsys.readouterr().err)
