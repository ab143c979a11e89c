import asyncio
from pathlib import Path

import pytest

from vllmd.cli.fleet_asking import THIS_HOST, view_of
from vllmd.control.client import ControlClient
from vllmd.errors import ConfigError, DaemonUnreachableError
from vllmd.fleet.commands import HostCommandError

CLIENT = ControlClient(Path("/nonexistent/control.sock"))


def config(folder: Path, text: str) -> Path:
    path = folder / "vllmd.toml"
    path.write_text(text)
    return path


def test_without_hosts_this_host_is_the_fleet_and_its_socket_is_asked(tmp_path: Path) -> None:
    view = view_of(config(tmp_path, ""), CLIENT)
    assert view.hosts == (THIS_HOST,)
    assert view.argv(THIS_HOST, ("restart", "a")) == ["vllmd", "restart", "a"]

    async def ask() -> object:
        async with view.asking() as pages:
            return (await pages())[THIS_HOST]

    assert isinstance(asyncio.run(ask()), DaemonUnreachableError)
    with pytest.raises(HostCommandError, match=r"this-host: .* restart a .* ended with 69: .*no v"):
        asyncio.run(view.run(THIS_HOST, ("restart", "a"), 60))


def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fleet\.hosts"):
        view_of(config(tmp_path, "[fleet]\nhosts = 3\n"), CLIENT)


def test_a_file_without_a_host_is_no_fleet_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")
    with pytest.raises(ConfigError, match=f"{tmp_path}/hosts names no host"):
        view_of(config(tmp_path, f'[fleet]\nhosts = "{tmp_path}/hosts"\n'), CLIENT)
