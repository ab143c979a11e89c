"""Whether a condition holds: ``[ … ]`` and ``[[ … ]]``. Pure.

What asks for terminals and programs is not known: nothing is run.
"""

from collections.abc import Callable, Sequence

from vllmd.importing.shell.patterns import matches
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
IsThere = Callable[[str], bool]


def both(one: bool | None, other: bool | None) -> bool | None:
    """Return whether both hold; None if that is not known."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def negate(one: bool | None) -> bool | None:
    """Return whether it does not hold; None if that is not known."""
    return None if one is None else not one


def holds(
    words: Sequence[str], *, patterns: bool = False, is_there: IsThere = lambda _: False
) -> bool | None:
    """Tell whether a condition holds; None if that is not known here.

    `patterns`: the right side of ``==`` is a pattern, as within ``[[``. `is_there` tells whether a
    file can be read here; where it cannot, it may be there where the script is run.
    """
    for joins, operators in ((False, ("||", "-o")), (True, ("&&", "-a"))):
        for index in range(len(words) - 2, 0, -1):
            if words[index] in operators:
                left = holds(words[:index], patterns=patterns, is_there=is_there)
                right = holds(words[index + 1 :], patterns=patterns, is_there=is_there)
                return both(left, right) if joins else negate(both(negate(left), negate(right)))
    return _one(list(words), patterns, is_there)


def _one(words: list[str], patterns: bool, is_there: IsThere) -> bool | None:
    """Tell whether a condition without `and` and `or` holds."""
    match words:
        case []:
            return False
        case ["!", *rest]:
            return negate(holds(rest, patterns=patterns, is_there=is_there))
        case ["(", *rest, ")"]:
            return holds(rest, patterns=patterns, is_there=is_there)
        case ["-f" | "-e" | "-r" | "-s", path]:
            return True if is_there(path) else None
        case [text]:
            return None if is_unknown(text) else text != ""
        case ["-n" | "-z" as sign, text]:
            return None if is_unknown(text) else (text != "") == (sign == "-n")
        case [one, operator, other] if operator in (*_EQUAL, *_UNEQUAL):
            if is_unknown(one) or is_unknown(other):
                return None
            same = matches(one, other) if patterns else one == other
            return same == (operator in _EQUAL)
        case [one, operator, other] if operator in _NUMBERS:
            try:
                return _NUMBERS[operator](int(one), int(other))
            except ValueError:
                return None
    return None
