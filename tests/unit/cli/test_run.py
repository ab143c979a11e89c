from pathlib import Path

import pytest

from vllmd.cli import run
from vllmd.config.problem import InvalidConfigError
from vllmd.daemon import Address


def test_load_demo_needs_no_file(tmp_path: Path) -> None:
    config, _ = run._load(tmp_path / "none", demo=True)
    assert list(config.engines) == ["demo"]


def test_load_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError):
        run._load(tmp_path / "none", demo=False)


def test_banner_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = run._load(Path("none"), demo=True)
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
