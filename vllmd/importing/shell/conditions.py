"""Whether a condition holds: ``[ … ]`` and ``[[ … ]]``. Pure.

What asks for files, terminals and programs is not known: nothing of the host is looked at.
"""

import fnmatch
from collections.abc import Callable, Sequence

from vllmd.importing.unknown import is_unknown

_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}
_EQUAL, _UNEQUAL = ("=", "=="), ("!=",)


def both(one: bool | None, other: bool | None) -> bool | None:
    """Return whether both hold; None if that is not known."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def negate(one: bool | None) -> bool | None:
    """Return whether it does not hold; None if that is not known."""
    return None if one is None else not one


def holds(words: Sequence[str], *, patterns: bool = False) -> bool | None:
    """Tell whether a condition holds; None if that is not known here.

    `patterns`: the right side of ``==`` is a pattern, as within ``[[``.
    """
    for joins, operators in ((False, ("||", "-o")), (True, ("&&", "-a"))):
        for index in range(len(words) - 2, 0, -1):
            if words[index] in operators:
                left = holds(words[:index], patterns=patterns)
                right = holds(words[index + 1 :], patterns=patterns)
                return both(left, right) if joins else negate(both(negate(left), negate(right)))
    return _one(list(words), patterns=patterns)


def _one(words: list[str], *, patterns: bool) -> bool | None:
    """Tell whether a condition without `and` and `or` holds."""
    match words:
        case []:
            return False
        case ["!", *rest]:
            return negate(holds(rest, patterns=patterns))
        case ["(", *rest, ")"]:
            return holds(rest, patterns=patterns)
        case [text]:
            return None if is_unknown(text) else text != ""
        case ["-n" | "-z" as sign, text]:
            return None if is_unknown(text) else (text != "") == (sign == "-n")
        case [one, operator, other] if operator in (*_EQUAL, *_UNEQUAL):
            if is_unknown(one) or is_unknown(other):
                return None
            same = fnmatch.fnmatchcase(one, other) if patterns else one == other
            return same == (operator in _EQUAL)
        case [one, operator, other] if operator in _NUMBERS:
            try:
                return _NUMBERS[operator](int(one), int(other))
            except ValueError:
                return None
    return None
