"""What `printf` and ``echo -e`` print. Pure.

Source: POSIX.1-2024, printf: a format is used again as long as words are left.
"""

import re
import shlex
from collections.abc import Sequence

_DIRECTIVE = re.compile(r"%%|%([-0 ]*)(\d*)(?:\.(\d+))?([sdiqbu])")
_ESCAPE = re.compile(r"\\(0?[0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_LETTERS = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
MAX_WIDTH = 4096


def formatted(words: Sequence[str]) -> str | None:
    """Return what `printf` prints; None if its format is not read."""
    rest = list(words)
    if rest[:1] == ["--"]:
        del rest[0]
    if not rest:
        return None
    form = rest.pop(0)
    if "%" in _DIRECTIVE.sub("", form):
        return None
    takes = any(each[0] != "%%" for each in _DIRECTIVE.finditer(form))
    made = ""
    while True:
        one = _once(form, rest)
        if one is None:
            return None
        made += one
        if not rest or not takes:
            return made


def _once(form: str, words: list[str]) -> str | None:
    """Use a format once; the words that it takes are taken off."""
    made, at = "", 0
    for found in _DIRECTIVE.finditer(form):
        made += with_escapes(form[at : found.start()])
        at = found.end()
        if found[0] == "%%":
            made += "%"
            continue
        kind, word = found[4], words.pop(0) if words else ""
        if kind in "diu":
            if not re.fullmatch(r"[-+]?\d{0,18}", word):
                return None
            word = str(int(word or 0)).zfill(int(found[3] or 0))
        elif kind == "q":
            word = shlex.quote(word)
        elif kind == "b":
            word = with_escapes(word)
        elif found[3] is not None:
            word = word[: int(found[3])]
        width = min(int(found[2] or 0), MAX_WIDTH)
        if "-" in found[1]:
            made += word.ljust(width)
        else:
            made += word.zfill(width) if "0" in found[1] and kind in "diu" else word.rjust(width)
    return made + with_escapes(form[at:])


def with_escapes(text: str) -> str:
    """Return a text with what its backslashes stand for."""

    def value(found: re.Match[str]) -> str:
        one = found[1]
        if one[0] == "x" and len(one) > 1:
            return chr(int(one[1:], 16))
        if one.isdigit():
            return chr(int(one, 8))
        return _LETTERS.get(one, one if one == "\\" else found[0])

    return _ESCAPE.sub(value, text)
