import os
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeAdapters, FakeEngine, control_socket
from vllmd.cli import ask, cost, engine, events, logs
from vllmd.cli.options import (
    chosen_engine,
    config_option,
    config_to_read,
    engine_argument,
    only_one,
    socket_option,
    utc_option,
    web_options,
)
from vllmd.config import CONFIG_PATH
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.installing.plan import VERSION


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


@click.command()
@config_option
@socket_option
def both(config_path: Path, client: ControlClient) -> None:
    click.echo(f"{config_path} {client._path}")


@pytest.mark.parametrize("asked", [show, both])
def test_socket_is_in_the_run_dir_of_the_configuration(
    asked: click.Command, tmp_path: Path
) -> None:
    def socket(*options: str, **env: str) -> str:
        result = CliRunner().invoke(asked, options, env={"VLLMD_SOCKET": "", **env})
        return result.output.split()[-1]

    file, silent, broken = (tmp_path / name for name in ("a.toml", "b.toml", "c.toml"))
    file.write_text('[daemon]\nrun_dir = "/r"\n')
    silent.write_text("")
    broken.write_text("[daemon")
    assert socket("-c", str(file)) == "/r/control.sock"
    assert socket(VLLMD_CONFIG=str(file)) == "/r/control.sock"
    assert socket("-c", str(file), "--socket", "/x") == "/x"
    assert socket("-c", str(file), VLLMD_SOCKET="/y") == "/r/control.sock"
    assert socket(VLLMD_CONFIG=str(file), VLLMD_SOCKET="/y") == "/y"
    for other in (silent, broken, tmp_path / "none"):
        assert socket("-c", str(other), VLLMD_SOCKET="/y") == "/y"


@click.command()
@config_option
@socket_option
def reading(config_path: Path, client: ControlClient) -> None:
    click.echo(str(config_to_read(client, config_path)))


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ([], "/of-the-daemon.toml"),
        (["--socket", "/x"], "/of-the-daemon.toml"),
        (["-c", "/named.toml"], "/named.toml"),
    ],
)
def test_file_that_is_read_is_the_daemons_unless_one_is_named(
    options: list[str], read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLMD_CONFIG", raising=False)
    document = {"daemon": {"config": "/of-the-daemon.toml"}}
    monkeypatch.setattr(ControlClient, "status", lambda _: document)
    assert CliRunner().invoke(reading, options).output == f"{read}\n"
    env = {"VLLMD_CONFIG": "/env.toml"}
    assert CliRunner().invoke(reading, [], env=env).output == "/env.toml\n"


def test_file_that_is_read_is_the_usual_one_without_a_daemon_or_with_one_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLMD_CONFIG", raising=False)
    away = CliRunner().invoke(reading, ["--socket", str(tmp_path / "none")])
    with control_socket(tmp_path / "c.sock") as path:
        demo = CliRunner().invoke(reading, ["--socket", str(path)])
    assert (away.output, demo.output) == (f"{CONFIG_PATH}\n",) * 2


def test_what_a_group_is_told_holds_for_its_commands() -> None:
    @click.group()
    @socket_option
    def outer(client: ControlClient) -> None:
        assert client

    outer.add_command(show)
    run = CliRunner().invoke
    assert run(outer, ["--socket", "/x", "show", "a"]).output == "a /x\n"
    assert run(outer, ["--socket", "/x", "show", "a", "--socket", "/y"]).output == "a /y\n"


def test_engine_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine("chat")) as path:
        assert chosen_engine(ControlClient(path), None) == "chat"
    assert chosen_engine(ControlClient(path), "code") == "code"
    with pytest.raises(click.UsageError, match="name an engine; there are: chat, code"):
        only_one(["chat", "code"])
    with pytest.raises(VllmdError, match="vllmd init"):
        only_one([])


def test_engine_completes_from_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argument = show.params[0]
    context = click.Context(show)
    with control_socket(tmp_path / "c.sock", FakeEngine("chat"), FakeEngine("code")) as path:
        monkeypatch.setenv("VLLMD_SOCKET", str(path))
        found = [item.value for item in argument.shell_complete(context, "co")]
    assert found == ["code"]
    assert argument.shell_complete(context, "co") == []


@click.command()
@web_options
def web(listen: tuple[str, int] | None, web_config_file: str | None) -> None:
    click.echo(f"{listen} {web_config_file!r}")


def test_web_options_are_those_of_every_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, said in (
        ((), "None None"),
        (("--web.listen-address", ":9840"), "('0.0.0.0', 9840) None"),
        (("--web.listen-address=[::1]:1",), "('::1', 1) None"),
        (("--web.config.file", "/w.yml"), "None '/w.yml'"),
        (("--web.config.file", "w.yml"), f"None '{tmp_path}/w.yml'"),
        (("--web.config.file", ""), "None ''"),
    ):
        assert CliRunner().invoke(web, given).output == f"{said}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("9840",), "'9840' is not an address with a port, such as"),
        (("vsock://:9840",), "'vsock://:9840' is not an address with a port"),
        ((":1", ":2"), ":1, :2: one address is taken; [::]:9840 listens on all of IPv6 and IPv4"),
    ],
)
def test_web_options_refuse_an_address_that_cannot_be_listened_on(
    given: tuple[str, ...], said: str
) -> None:
    options = [word for each in given for word in ("--web.listen-address", each)]
    result = CliRunner().invoke(web, options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_utc_holds_for_every_time_that_is_read_or_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @utc_option
    def show_hour() -> None:
        click.echo(time.strftime("%H", time.localtime(0)))

    monkeypatch.setenv("TZ", "XXX-5")
    time.tzset()
    try:
        assert CliRunner().invoke(show_hour).output == "05\n"
        assert CliRunner().invoke(show_hour, ["--utc"]).output == "00\n"
    finally:
        monkeypatch.undo()
        time.tzset()


def completed(command: click.Command, option: str, incomplete: str) -> list[str]:
    (param,) = (each for each in command.params if option in each.opts)
    context = click.Context(command)
    return [item.value for item in param.shell_complete(context, incomplete)]


def test_names_that_are_known_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(events.command, "--name", "engine.exi") == ["engine.exited"]
    assert "EngineCore" in completed(logs.command, "--process", "eng")
    assert completed(cost.command, "--compare", "")
    assert completed(engine.install_, "version", VERSION[:3]) == [VERSION]
    monkeypatch.setenv("VLLMD_SOCKET", str(tmp_path / "c.sock"))
    sql = {"name": "sql", "source": "file", "condition": "loaded"}
    adapters = FakeAdapters({"engine": "chat", "adapters": [sql]})
    served = FakeEngine("chat", served_names=("tiny", "small"))
    with control_socket(tmp_path / "c.sock", served, adapters=adapters):
        assert completed(ask.command, "--model", "s") == ["small", "sql"]
    assert completed(ask.command, "--model", "s") == []
