import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.options import engine_argument, socket_option
from vllmd.control.client import ControlClient


@click.command()
@engine_argument
@socket_option
def show(engine: str, client: ControlClient) -> None:
    click.echo(f"{engine} {client._path}")


def test_socket_comes_from_option_then_environment_then_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = CliRunner()
    assert runner.invoke(show, ["a", "--socket", "/x"]).output == "a /x\n"
    assert runner.invoke(show, ["a"], env={"VLLMD_SOCKET": "/y"}).output == "a /y\n"
    env = {"RUNTIME_DIRECTORY": "/z", "VLLMD_SOCKET": ""}
    monkeypatch.setattr(os, "environ", {**os.environ})
    assert runner.invoke(show, ["a"], env=env).output.startswith("a /")


def test_engine_completes_from_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argument = show.params[0]
    context = click.Context(show)
    with control_socket(tmp_path / "c.sock", FakeEngine("chat"), FakeEngine("code")) as path:
        monkeypatch.setenv("VLLMD_SOCKET", str(path))
        found = [item.value for item in argument.shell_complete(context, "co")]
    assert found == ["code"]
    assert argument.shell_complete(context, "co") == []
