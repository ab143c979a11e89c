import re
import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllmd.util.terminal_text import full_stop, harmless, harmless_value, one_line

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain text, é °C 日本 👩‍💻", "plain text, é °C 日本 👩‍💻"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x1b\x1b[m]0;title\x07", "\\x1b\\x1b[m]0;title\\x07"),
        (
            "\x1bPdcs\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos",
            "\\x1bPdcs\\x1b\\\\x1b_apc\\x1b\\\\x1b^pm\\x1b\\\\x1bXsos",
        ),
        ("\x9b2J \x9d0;t\x9c", "\\x9b2J \\x9d0;t\\x9c"),
        ("gone\rkept \x08\x7f\x00", "gone\\x0dkept \\x08\\x7f\\x00"),
        ("user\u202egpj.exe\u2066", "user\\u202egpj.exe\\u2066"),
        ("line\u2028other\x85next\x0bv\x0cf", "line\\u2028other\\x85next\\x0bv\\x0cf"),
        (b"\xff\x9b[J".decode(errors="surrogateescape"), "\\xff\\x9b[J"),
        ("\ud800 alone", "\\ud800 alone"),
    ],
)
def test_harmless_shows_what_a_terminal_would_obey(printed: str, shown: str) -> None:
    assert harmless(printed) == shown


@given(st.text(st.characters(codec=None, categories=None), max_size=200))
def test_harmless_lets_no_control_character_through_and_is_done_once(text: str) -> None:
    shown = harmless(text)
    assert not OBEYED.search(shown)
    assert harmless(shown) == shown
    shown.encode()  # no lone surrogate is left


@pytest.mark.long
def test_harmless_leaves_no_control_character_of_unicode() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {unicodedata.category(char) for char in harmless(everything)} - {"Cf", "Co", "Cn"}
    assert left.isdisjoint({"Cs", "Zl", "Zp"})
    assert {c for c in harmless(everything) if unicodedata.category(c) == "Cc"} == {"\n", "\t"}


@pytest.mark.long
def test_harmless_takes_time_in_proportion() -> None:
    def cpu_s(size: int) -> float:
        begin = time.process_time()
        harmless("\x1b[" * size + "\x1b]" * size + "1;" * size)
        return time.process_time() - begin

    cpu_s(1000)
    assert cpu_s(200_000) < 40 * max(cpu_s(20_000), 0.005)


def test_one_line_is_one() -> None:
    assert one_line("a\nforged\tline\r") == "a\\nforged\\tline\\x0d"
    assert len(one_line("a\n\u2028\x0b\x85b").splitlines()) == 1


def test_harmless_value_goes_into_lists_and_tables() -> None:
    given_value = {"a\x1b": ["\x07", {"b": ("\x9b", 7, None)}]}
    assert harmless_value(given_value) == {"a\\x1b": ["\\x07", {"b": ["\\x9b", 7, None]}]}


def test_full_stop_is_set_where_a_sentence_has_none() -> None:
    assert full_stop("no folder '/x'") == "no folder '/x'."
    assert full_stop("It is. (cause: x)") == "It is. (cause: x)"
    assert full_stop("killed: a (pid 7)") == "killed: a (pid 7)."
