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


def test_ansi_is_a_line_as_echo_prints_it() -> None:
    line = terminal.ansi(terminal.style(f"red {HOSTILE}\nforged", fg="red"))
    assert line == f"\x1b[31mred {SHOWN}\\nforged\x1b[0m"


def test_lines_are_made_for_a_part_of_a_screen() -> None:
    with terminal.of_width(10):
        with terminal.of_width(20):
            assert terminal.width() == 20
        assert terminal.wrap("one two three") == ["one two", "three"]
    assert terminal.width() is None


def test_echo_is_one_line_and_echo_text_several() -> None:
    @click.command()
    def command() -> None:
        terminal.echo("a\nvllmd: forged\tline")
        terminal.echo_text(f"two\nlines {HOSTILE}")

    assert printed(command).output == f"a\\nvllmd: forged\tline\ntwo\nlines {SHOWN}\n"


@pytest.mark.long
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


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm"}, True),
    ],
)
def test_colours_are_as_the_environment_wants(env: dict[str, str], wanted: bool) -> None:
    assert terminal.wants_no_colours(env) is not wanted


def test_echo_without_colours_prints_none_on_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    command = click.Command("c", callback=lambda: terminal.echo(terminal.style("red", fg="red")))
    assert printed(command).output == "red\n"


@pytest.mark.parametrize(
    ("env", "ascii_only"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python makes it of LANG=C
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, False),
        ({"LC_CTYPE": "de_DE.UTF-8", "LANG": "C"}, False),
        ({"LANG": "C.UTF-8"}, False),
    ],
)
def test_ascii_is_what_a_locale_of_c_has(env: dict[str, str], ascii_only: bool) -> None:
    assert terminal.is_ascii_only(env) is ascii_only


def test_echo_in_a_locale_of_c_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    command = click.Command("c", callback=lambda: terminal.echo("█▓· “a” → 3 °C… 中"))
    assert printed(command).output == '#%. "a" -> 3 C... \\u4e2d\n'


def test_echo_in_an_encoding_that_has_no_more_escapes_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Latin:
        encoding = "latin-1"

    monkeypatch.setattr("sys.stdout", Latin())
    assert terminal._encodable("é █ 中", err=False) == "é # \\u4e2d"


def test_wrap_breaks_at_the_terminals_width_and_leaves_long_words_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 20)
    text = "one two three four /a/path/that/is/longer/than/that"
    assert terminal.wrap(text, first="- ", rest="  ") == [
        "- one two three four",
        "  /a/path/that/is/longer/than/that",
    ]
    assert terminal.wrap("", first="- ") == ["-"]


def test_wrap_in_a_pipe_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert terminal.width() is None
    assert terminal.wrap("word " * 99, first="- ") == ["- " + "word " * 99]


def on_screen(out: str) -> list[str]:
    """Return the lines that a screen was told; none of them is wrapped, so that none scrolls it."""
    assert out.startswith("\x1b[?7l\x1b[H")
    assert out.endswith("\x1b[J\x1b[?7h")
    *lines, rest = out.removeprefix("\x1b[?7l\x1b[H").removesuffix("\x1b[J\x1b[?7h").split("\n")
    assert rest == ""
    assert all(line.startswith("\x1b[K") for line in lines)
    return [line.removeprefix("\x1b[K") for line in lines]


def test_screen_is_written_over_and_says_how_many_lines_it_has_no_room_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "4")
    terminal.show_screen([terminal.style("a", fg="red"), "b", "c"], whole="vllmd status")
    assert on_screen(capsys.readouterr().out) == ["\x1b[31ma\x1b[0m", "b", "c"]
    terminal.show_screen(["a", "b", "c", "d"], whole="vllmd status")
    last = "… 2 more lines; 'vllmd status' shows all"
    assert on_screen(capsys.readouterr().out) == ["a", "b", last]


def test_screen_has_no_colours_where_none_are_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.show_screen([terminal.style("a", fg="red")], whole="vllmd status")
    assert on_screen(capsys.readouterr().out) == ["a"]


def test_error_is_broken_at_the_terminals_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 12)
    terminal.echo_error("vllmd: one two three\nfour")
    assert capsys.readouterr().err == "vllmd: one\n  two three\nfour\n"


def test_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "93")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert terminal.width() == 93
