"""Text of strangers made harmless for a terminal: what an engine, a client or a file put into it.

A terminal obeys control characters: they move the cursor, write to the clipboard, set titles, and
hide or reorder what was printed. Here each of them is shown instead, as ``\\x1b``. Pure: no I/O.
"""

import re
from collections.abc import Mapping
from typing import Any

_ORDERING = "\u202a-\u202e\u2066-\u2069"
"""Characters that reorder what follows. Source: UAX #9, embeddings, overrides and isolates."""
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029" + _ORDERING + "\ud800-\udfff]"  # C0, DEL, C1
)
_BREAKS = re.compile("[\t\n]")
_NAMES = {"\n": "\\n", "\t": "\\t"}

_SENTENCE = re.compile(r"[.!?]( \([^()]*\))?$")
"""The end of a sentence; what is in brackets may follow."""


def harmless(text: str) -> str:
    """Return a text in which no character does anything but show; newlines and tabs stay.

    Done twice it is as done once, and takes time in proportion to the text. Bytes that are no UTF-8
    are shown too, where they were decoded with ``surrogateescape``.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub(_shown, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the same as one line: newlines and tabs are shown too."""
    return _BREAKS.sub(lambda found: _NAMES[found[0]], harmless(text))


def harmless_value(value: Any) -> Any:
    """Return a value of JSON's kinds in which every text is harmless, names too."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {harmless_value(key): harmless_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [harmless_value(each) for each in value]
    return value


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte, as surrogateescape keeps it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def full_stop(words: str) -> str:
    """Return words as a sentence that another one can follow."""
    return words if _SENTENCE.search(words) else f"{words}."
