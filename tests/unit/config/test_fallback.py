import stat
from pathlib import Path

import pytest

from vllmd.config.fallback import KEPT_NAME, load_or_fall_back

GOOD = '[engines.a]\nmodel = "m"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "v.toml"
    file.write_text(GOOD)
    return file


def test_load_good_file_is_kept_for_our_eyes_only(tmp_path: Path, path: Path) -> None:
    loaded = load_or_fall_back(path, tmp_path / "state")
    assert loaded.problem is None
    kept = tmp_path / "state" / KEPT_NAME
    assert kept.read_text() == GOOD
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_load_broken_file_falls_back_to_the_last_good_one(tmp_path: Path, path: Path) -> None:
    load_or_fall_back(path, tmp_path / "state")
    path.write_text(GOOD + "x = 1\ny = 2\n")
    loaded = load_or_fall_back(path, tmp_path / "state")
    assert list(loaded.config.engines) == ["a"]
    assert loaded.config.path == str(path)
    assert "engines.a.x: is not a known key" in str(loaded.problem)
    assert "(and 1 more)" in str(loaded.problem)
    assert f"vllmd check --config {path}" in str(loaded.problem)


def test_load_broken_file_and_nothing_kept_configures_nothing(tmp_path: Path, path: Path) -> None:
    path.write_text("broken")
    loaded = load_or_fall_back(path, tmp_path / "state")
    assert dict(loaded.config.engines) == {}
    assert loaded.problem


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ('[daemon]\nweb_config_file = "/etc/w.yml"\nlisten = 1\n', "/etc/w.yml"),
        ("broken\n  daemon.web_config_file='/etc/w.yml'", "/etc/w.yml"),
        ('daemon = { poll_s = -1, "web_config_file" = "/etc/w.yml" }', "/etc/w.yml"),
        ('broken\n# web_config_file = "/etc/w.yml"', None),
        ('broken\nweb_config_file = ""', None),
        ("broken", None),
    ],
)
def test_load_broken_file_and_nothing_kept_opens_nothing_that_was_closed(
    tmp_path: Path, path: Path, text: str, file: str | None
) -> None:
    path.write_text(text)
    loaded = load_or_fall_back(path, tmp_path / "state")
    assert loaded.problem
    assert loaded.config.daemon.web_config_file == file


def test_load_wrong_variable_leaves_the_last_good_file_and_the_other_variables(
    tmp_path: Path, path: Path
) -> None:
    load_or_fall_back(path, tmp_path / "state", {})
    env = {
        "VLLMD__DAEMON__WEB_CONFIG_FILE": "/etc/w.yml",
        "VLLMD__DAEMON__POLL_X": "1",
        "VLLMD_DAEMON__POLL_S": "1",
        "VLLMD__ENGINES__A__PORT": "high",
    }
    loaded = load_or_fall_back(path, tmp_path / "state", env)
    assert "VLLMD__" in str(loaded.problem)
    assert list(loaded.config.engines) == ["a"]
    assert loaded.config.daemon.web_config_file == "/etc/w.yml"


def test_load_wrong_variable_and_nothing_kept_opens_nothing_that_was_closed(
    tmp_path: Path, path: Path
) -> None:
    path.write_text("broken")
    env = {"VLLMD__DAEMON__WEB_CONFIG_FILE": "/etc/w.yml", "VLLMD__DAEMON__RUN_DIR": "/run/x"}
    for more in ({}, {"VLLMD__DAEMON__POLL_X": "1"}):
        loaded = load_or_fall_back(path, tmp_path / "state", {**env, **more})
        assert loaded.problem
        assert loaded.config.daemon.web_config_file == "/etc/w.yml"
        assert loaded.config.daemon.run_dir == "/run/x"


def test_load_state_that_cannot_be_written_is_no_reason_to_fail(path: Path) -> None:
    assert load_or_fall_back(path, Path("/proc/none")).problem is None
