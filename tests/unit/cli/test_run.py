from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner
from structlog.testing import capture_logs

from vllmd.cli import run
from vllmd.config.load import load
from vllmd.config.problem import InvalidConfigError
from vllmd.daemon.environment import Address
from vllmd.events.daemon import ConfigRefused


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what is written out of this machine's own folder, and the log as other tests have it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    yield
    structlog.reset_defaults()


def test_load_demo_needs_no_file(tmp_path: Path) -> None:
    loaded = run._load(tmp_path / "none", demo=True, service=False)
    assert list(loaded.config.engines) == ["demo"]


def test_load_of_a_relative_path_tells_one_that_holds_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.toml").touch()
    monkeypatch.chdir(tmp_path)
    loaded = run._load(Path("v.toml"), demo=False, service=False)
    assert loaded.config.path == str(tmp_path / "v.toml")


def test_load_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError):
        run._load(tmp_path / "none", demo=False, service=False)


def test_load_as_a_service_comes_up_with_a_broken_file(
    tmp_path: Path,
) -> None:
    loaded = run._load(tmp_path / "none", demo=False, service=True)
    assert "cannot be read" in str(loaded.problem)
    with capture_logs() as logs:
        run._report(loaded)
    assert logs[0]["event"] == ConfigRefused.name


def test_banner_says_where_to_look(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run._load(Path("none"), demo=True, service=False).config
    monkeypatch.setattr("sys.argv", ["/a b/vllmd"])
    run._print_banner(config, Address("http://127.0.0.1:9840", "/run/c.sock"))
    shown = capsys.readouterr().out
    for words in (
        "http://127.0.0.1:9840/metrics",
        "http://127.0.0.1:8000/v1",
        f"tiny, sql, and what is in {tmp_path}/state/demo-adapters/watched",
        f"export VLLMD_CONFIG={tmp_path}/state/demo.toml\n  export VLLMD_SOCKET=/run/c.sock\n",
        "  '/a b/vllmd' status\n",
        "demo.log",
    ):
        assert words in shown


@pytest.mark.parametrize("by_option", [True, False])
def test_run_with_a_web_configuration_that_cannot_be_used_ends_in_the_foreground(
    tmp_path: Path, by_option: bool
) -> None:
    web = tmp_path / "web.yml"
    path = tmp_path / "v.toml"
    path.write_text("" if by_option else f'[daemon]\nweb_config_file = "{web}"\n')
    options = ["--web.config.file", str(web)] if by_option else []
    result = CliRunner().invoke(run.command, ["--config", str(path), *options])
    assert isinstance(result.exception, InvalidConfigError)
    assert f"{web}: error: cannot be read: No such file" in str(result.exception)


def test_banner_of_a_demo_has_commands_that_find_it_and_its_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run._load(Path("none"), demo=True, service=False).config
    written = tmp_path / "state" / "demo.toml"
    folders = load(written)[0].daemon
    assert folders.state_dir == f"{tmp_path}/state"
    run._print_banner(config, Address("http://127.0.0.1:9840", f"{folders.run_dir}/control.sock"))
    shown = capsys.readouterr().out
    assert f"export VLLMD_CONFIG={written}\n" in shown
    assert "VLLMD_SOCKET" not in shown
