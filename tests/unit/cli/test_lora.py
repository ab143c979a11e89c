import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeAdapters, FakeEngine, control_socket
from vllmd.cli.lora import command
from vllmd.engine.state_machine import State
from vllmd.errors import TimedOutError, VllmdError


def adapter(name: str, condition: str = "loaded", **more: Any) -> dict[str, Any]:
    about = {"source": "command", "reason": None, "changed_at": 1.0, "errors": 0, "stale": False}
    return {"name": name, "path": f"/srv/{name}", "condition": condition, **about, **more}


class Changing(FakeAdapters):
    """Adapters of which each is what it becomes as soon as it is asked for."""

    def __init__(self, *adapters: dict[str, Any]) -> None:
        super().__init__({"engine": "chat", "problem": None, "adapters": list(adapters)})
        self.becomes: list[dict[str, Any]] | None = None

    def to_json(self) -> list[dict[str, Any]]:
        if self.asked and self.becomes is not None:
            self.shown[0]["adapters"] = self.becomes
        return self.shown


@pytest.fixture
def adapters() -> Changing:
    return Changing(adapter("sql"))


@pytest.fixture
def socket(tmp_path: Path, adapters: Changing) -> Iterator[Path]:
    with control_socket(tmp_path / "c.sock", FakeEngine(), adapters=adapters) as path:
        yield path


def run(socket: Path, *args: str) -> Result:
    return CliRunner().invoke(command, [*args, "--socket", str(socket)])


def test_list_shows_each_adapter_and_why_it_is_not_loaded(socket: Path, adapters: Changing) -> None:
    adapters.shown[0]["adapters"] += [
        adapter("bad", "failed", reason="its rank 64 is above max_lora_rank 16"),
        adapter("old", stale=True),
        adapter("theirs", "unlisted", source=None),
    ]
    adapters.shown[0]["problem"] = "lora.directory /srv cannot be read"
    shown = run(socket, "list")
    assert "chat    sql      loaded          command    /srv/sql" in shown.output
    assert "chat    old      loaded (stale)  command" in shown.output
    assert "chat    theirs   unlisted        nobody" in shown.output
    assert "bad: its rank 64 is above max_lora_rank 16" in shown.output
    assert "old: its files changed since it was loaded: 'vllmd lora reload old'" in shown.output
    assert "chat: lora.directory /srv cannot be read" in shown.output
    assert json.loads(run(socket, "list", "--json").output) == adapters.shown


def test_list_of_nothing_says_how_to_add_one(socket: Path, adapters: Changing) -> None:
    adapters.shown.clear()
    assert "add a table [engines.NAME.lora]" in run(socket, "list").output
    assert run(socket, "list", "other").exception is not None


def test_add_makes_a_folder_absolute_and_waits_until_it_is_loaded(
    socket: Path, adapters: Changing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path)
    adapters.becomes = [adapter("sql"), adapter("new")]
    done = run(socket, "add", "new", "new")
    assert "new: loaded after" in done.output
    assert adapters.asked == [("chat", "add", "new", str(tmp_path / "new"))]


def test_add_that_vllm_refuses_fails_with_its_reason(socket: Path, adapters: Changing) -> None:
    adapters.becomes = [adapter("new", "failed", reason="does not fit", errors=1)]
    done = run(socket, "add", "new", "org/new")
    assert str(done.exception) == "new is not loaded: does not fit"


def test_reload_that_fails_says_why_though_the_old_one_serves(
    socket: Path, adapters: Changing
) -> None:
    adapters.becomes = [adapter("sql", reason="rank 64", errors=1, changed_at=2.0)]
    done = run(socket, "reload", "sql")
    assert str(done.exception) == "sql is not loaded: rank 64"


def test_add_that_takes_too_long_goes_on_and_says_so(socket: Path, adapters: Changing) -> None:
    adapters.becomes = [adapter("new", "pending")]
    done = run(socket, "add", "new", "org/new", "--timeout", "0.2")
    assert isinstance(done.exception, TimedOutError)
    assert "it goes on; 'vllmd lora list' shows it" in str(done.exception)


def test_add_with_an_engine_that_loads_does_not_wait(tmp_path: Path, adapters: Changing) -> None:
    engine = FakeEngine(state=State.LOADING)
    with control_socket(tmp_path / "d.sock", engine, adapters=adapters) as path:
        done = run(path, "add", "new", "org/new")
    assert "chat is loading: it has its adapters as soon as it serves" in done.output
    assert done.exit_code == 0


def test_remove_waits_until_it_is_gone(socket: Path, adapters: Changing) -> None:
    adapters.becomes = []
    assert "sql: unloaded after" in run(socket, "remove", "sql").output
    assert adapters.asked == [("chat", "remove", "sql")]


def test_reload_waits_for_a_newer_load(socket: Path, adapters: Changing) -> None:
    adapters.becomes = [adapter("sql", changed_at=2.0)]
    assert "sql: loaded after" in run(socket, "reload", "sql").output
    assert adapters.asked == [("chat", "reload", "sql")]


def test_which_engine_is_asked_for_only_if_it_is_not_clear(
    socket: Path, adapters: Changing
) -> None:
    adapters.shown.append({"engine": "code", "problem": None, "adapters": []})
    assert "several engines have adapters (chat, code)" in run(socket, "remove", "sql").output
    adapters.shown.clear()
    assert "no engine serves adapters" in str(run(socket, "remove", "sql").exception)


def test_what_the_daemon_refuses_is_shown_as_it_is(socket: Path, adapters: Changing) -> None:
    adapters.error = VllmdError("new cannot be loaded: its rank 64")
    done = run(socket, "add", "new", "/srv/new")
    assert str(done.exception) == "new cannot be loaded: its rank 64"
