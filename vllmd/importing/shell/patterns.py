"""The shell's patterns: ``*``, ``?`` and ``[…]``. Pure.

Source: POSIX.1-2024, Pattern Matching Notation.
"""

import re

MAX_STARS = 8
"""Of one pattern: a launcher has few, and each is tried at every place."""


def matches(text: str, pattern: str) -> bool:
    """Tell whether a pattern is that of a whole text."""
    return bool(re.fullmatch(expression_of(pattern), text, re.DOTALL))


def expression_of(pattern: str) -> str:
    """Return a pattern as a regular expression; one of too many stars is taken as it is written."""
    if pattern.count("*") > MAX_STARS:
        return re.escape(pattern)
    made, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char in "*?":
            made += ".*" if char == "*" else "."
        elif char == "[" and (found := re.match(r"([!^]?)(\]?[^\]]*)\]", pattern[at:])):
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", found[2])
            made += (
                f"[{'^' if found[1] else ''}{inner}]"
                if _is_set(inner)
                else re.escape(f"[{found[0]}")
            )
            at += found.end()
        else:
            made += re.escape(char)
    return made


def _is_set(inner: str) -> bool:
    """Tell a set whose ranges have an order."""
    try:
        re.compile(f"[{inner}]")
    except re.error:
        return False
    return bool(inner)
