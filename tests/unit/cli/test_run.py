from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vllmd import events
from vllmd.cli import run
from vllmd.config.problem import InvalidConfigError
from vllmd.surroundings import Address


def test_load_demo_needs_no_file(tmp_path: Path) -> None:
    loaded = run._load(tmp_path / "none", demo=True, service=False)
    assert list(loaded.config.engines) == ["demo"]


def test_load_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError):
        run._load(tmp_path / "none", demo=False, service=False)


def test_load_as_a_service_comes_up_with_a_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    loaded = run._load(tmp_path / "none", demo=False, service=True)
    assert "cannot be read" in str(loaded.problem)
    with capture_logs() as logs:
        run._report(loaded)
    assert logs[0]["event"] == events.CONFIG_REFUSED


def test_banner_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    config = run._load(Path("none"), demo=True, service=False).config
    run._print_banner(config, Address("http://127.0.0.1:9840", "/run/c.sock"))
    shown = capsys.readouterr().out
    for words in (
        "http://127.0.0.1:9840/metrics",
        "http://127.0.0.1:8000/v1",
        "tiny, sql, support",
        "--socket /run/c.sock",
        "demo.log",
    ):
        assert words in shown
