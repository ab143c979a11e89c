import os
from pathlib import Path

import pytest

from tests.helpers.make import config
from vllmd.config import paths


def test_folders_of_the_configuration_win() -> None:
    given = config('[daemon]\nrun_dir = "/a"\nstate_dir = "/b"\nlog_dir = "/c"')
    env = {"RUNTIME_DIRECTORY": "/x", "STATE_DIRECTORY": "/x", "LOGS_DIRECTORY": "/x"}
    found = [paths.run_dir(given, env), paths.state_dir(given, env), paths.log_dir(given, env)]
    assert found == [Path("/a"), Path("/b"), Path("/c")]


def test_folders_of_systemd_come_next() -> None:
    env = {"RUNTIME_DIRECTORY": "/r:/r2", "STATE_DIRECTORY": "/s", "LOGS_DIRECTORY": "/l"}
    empty = config("")
    found = [paths.run_dir(empty, env), paths.state_dir(empty, env), paths.log_dir(empty, env)]
    assert found == [Path("/r"), Path("/s"), Path("/l")]


@pytest.mark.parametrize(
    ("uid", "run", "state"),
    [(0, "/run/vllmd", "/var/lib/vllmd"), (1000, "/x/vllmd", "/h/.local/state/vllmd")],
)
def test_folders_by_default_are_the_systems_or_the_users(
    monkeypatch: pytest.MonkeyPatch, uid: int, run: str, state: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    env = {"XDG_RUNTIME_DIR": "/x", "HOME": "/h"}
    assert paths.run_dir(config(""), env) == Path(run)
    assert paths.state_dir(config(""), env) == Path(state)


def test_engine_paths_lie_in_their_folders() -> None:
    assert paths.engine_dir(Path("/run/v"), "a") == Path("/run/v/engines/a")
    assert paths.control_socket(Path("/run/v")) == Path("/run/v/control.sock")
    assert paths.engine_log(Path("/log"), "a") == Path("/log/a.log")
    given = config('[daemon]\nrun_dir = "/run/v"')
    assert paths.socket_path_bytes(given, "a") == len("/run/v/engines/a/shim.sock")


def test_engines_of_root_and_of_a_plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert paths.engine_prefix({}) == Path("/opt/vllmd/engine")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert paths.engine_prefix({"HOME": "/h"}) == Path("/h/.local/share/vllmd/engine")
    assert paths.own_engines({"XDG_DATA_HOME": "/d"}) == Path("/d/vllmd/engine")
