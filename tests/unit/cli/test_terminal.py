import json

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from vllmd.cli import terminal

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e\x7f"
SHOWN = "\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\x9b31m\\u202e\\x7f"


def printed(command: click.Command, *, color: bool = True) -> Result:
    return CliRunner().invoke(command, color=color)


def test_echo_prints_our_colours_and_shows_those_of_others() -> None:
    @click.command()
    def command() -> None:
        terminal.echo(terminal.style(f"red {HOSTILE}\x1b[32m", fg="red") + " \x1b[0m")
        terminal.echo(terminal.style("bold", bold=True) + terminal.style(" as it is"))

    shown = f"\x1b[31mred {SHOWN}\\x1b[32m\x1b[0m \\x1b[0m\n\x1b[1mbold\x1b[0m as it is\x1b[0m\n"
    assert printed(command).output == shown
    assert "\x1b" not in printed(command, color=False).output


def test_echo_is_one_line_and_echo_text_several() -> None:
    @click.command()
    def command() -> None:
        terminal.echo("a\nvllmd: forged\tline")
        terminal.echo_text(f"two\nlines {HOSTILE}")

    assert printed(command).output == f"a\\nvllmd: forged\tline\ntwo\nlines {SHOWN}\n"


@given(st.text(max_size=50))
def test_echo_json_is_json_and_has_no_control_character(text: str) -> None:
    @click.command()
    def command() -> None:
        terminal.echo_json({text: [text]})

    output = printed(command).output
    assert json.loads(output) == {text: [text]}
    assert output.rstrip("\n").isprintable()


def test_show_error_shows_what_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_error(click.UsageError(f"no such engine {HOSTILE}"))
    shown = SHOWN.replace("\\x1b[2J", "")  # which click itself leaves out
    assert capsys.readouterr().err == f"Error: no such engine {shown}\n"


def test_replace_line_stays_in_its_line() -> None:
    @click.command()
    def command() -> None:
        terminal.replace_line(f"50%\n{HOSTILE}")

    assert printed(command).stderr == f"\r\x1b[K50%\\n{SHOWN}"
