"""tools/manual.py and tools/completion.py: made of the command line itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import click
import pytest

from tests.helpers.each import of_each
from tools import completion, manual
from vllmd.cli.main import COMMANDS, cli
from vllmd.config.reference import TABLES

PAGES = manual.pages()


@of_each(COMMANDS)
def test_each_command_has_a_page_with_all_its_options(name: str) -> None:
    page = PAGES[f"vllmd-{name}.1"].replace("\\-", "-")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert f"vllmd-{name}(1)" in PAGES["vllmd.1"].replace("\\-", "-")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(option in page for option in parameter.opts), parameter.opts
    for below in command.list_commands(click.Context(command)) if name == "engine" else ():  # type: ignore[attr-defined]
        assert f"vllmd engine {below}" in page


def test_the_configuration_page_has_every_key() -> None:
    page = PAGES["vllmd.toml.5"]
    for _, model in TABLES:
        for field in attrs.fields(model):
            if "rule" in field.metadata:
                assert f".B {field.name} = " in page


def test_exit_codes_are_a_list() -> None:
    codes = re.search(r'\.SH "EXIT STATUS"\n(.*?)\.SH', PAGES["vllmd.1"], re.DOTALL)
    assert codes
    assert re.findall(r"\.B (\d+)", codes[1])[:4] == ["0", "1", "2", "65"]


def test_no_line_of_text_is_taken_for_a_request() -> None:
    known = {"TH", "SH", "TP", "B", "I", "P", "nf", "fi", "nh", "ad"}
    for name, page in PAGES.items():
        for line in page.splitlines():
            if line.startswith((".", "'")):
                assert line.lstrip(".").split(" ")[0] in known, (name, line)


def test_pages_are_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert "1970-01-02" in manual.pages()["vllmd.1"]
    assert manual.pages() == manual.pages()


@pytest.mark.long
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    completion.main(tmp_path)
    script = f"""source {tmp_path}/vllmd
    for words in "vllmd sta" "vllmd engine ins" "vllmd status --js"; do
      COMP_WORDS=($words); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
      _vllmd_completion vllmd "${{COMP_WORDS[COMP_CWORD]}}"
      echo "${{COMPREPLY[@]}}"
    done"""
    where = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": where}
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["status start", "install", "--json"], done
