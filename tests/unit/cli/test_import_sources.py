"""What the command is given."""

from pathlib import Path

import pytest

from vllmd.cli.host_files import HostFiles
from vllmd.cli.import_ import command
from vllmd.cli.import_sources import read_sources
from vllmd.errors import VllmdError
from vllmd.importing.surroundings import Notes, Surroundings


def arguments(*given: str) -> tuple[str, ...]:
    launches, _ = read_sources(given, None, (), Surroundings(HostFiles()), Notes())
    return launches[0].arguments


def test_words_of_a_command_line_stay_apart() -> None:
    assert arguments("vllm", "serve", "m", "--x", "a b$c") == ("m", "--x", "a b$c")


def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("vllm serve m\n")
    assert arguments(str(tmp_path / "run.sh")) == ("m",)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VllmdError, match="cannot read"):
        arguments(str(tmp_path / "x"))


def test_script_is_given_its_own_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.sh").write_text('while [ $# -gt 1 ]; do shift; done\nvllm serve "$1"\n')
    context = command.make_context(
        "import", ["--name", "x", "run.sh", "-m", "--tp=1", "--", "org/m"]
    )
    assert context.params["sources"] == ("run.sh", "-m", "--tp=1", "--", "org/m")
    assert arguments(*context.params["sources"]) == ("org/m",)
    plain = command.make_context("import", ["run.sh", "--name", "x"]).params
    assert (plain["sources"], plain["name"]) == (("run.sh",), "x")
