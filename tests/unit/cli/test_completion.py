from pathlib import Path

import pytest
from click.testing import CliRunner

from vllmd.cli.completion import FILES, command
from vllmd.errors import VllmdError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "SHELL"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", ".local/share/bash-completion/completions/vllmd"),
        ("zsh", ".local/share/zsh/site-functions/_vllmd"),
        ("fish", ".config/fish/completions/vllmd.fish"),
    ],
)
def test_install_writes_the_script_where_the_shell_looks(
    shell: str, path: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    result = CliRunner().invoke(command, ["install"])
    assert str(home / path) in result.output
    assert (home / path).read_text() == CliRunner().invoke(command, ["show", shell]).output[:-1]
    assert "_VLLMD_COMPLETE" in (home / path).read_text()


def test_install_for_an_unknown_shell_names_those_that_are_known() -> None:
    result = CliRunner().invoke(command, ["install"], env={"SHELL": "/bin/tcsh"})
    assert result.exit_code == 2
    assert "SHELL names tcsh: name one of bash, zsh, fish" in result.output


def test_install_where_nobody_may_write_says_where(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".config").touch()
    result = CliRunner().invoke(command, ["install", "fish"])
    assert isinstance(result.exception, VllmdError)
    assert "cannot write" in str(result.exception)
    assert set(FILES) == {"bash", "zsh", "fish"}
