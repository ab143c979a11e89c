"""What a request asks for, read from its parameters: everybody may send them.

Each error names the parameter, the value and what is taken; none reaches the database or the log.
"""

import math
import re
from collections.abc import Mapping, Sequence

from vllmd.history.reading import LEVELS, EventFilter

MAX_EVENTS = 10_000
MAX_ID = 2**63 - 1
"""SQLite's largest whole number."""
MAX_MOMENT_S = 253_402_300_799.0
"""The last second of the year 9999: there is no date beyond it."""
MAX_NAMES, MAX_NAME_CHARS, MAX_STARS = 32, 64, 2
"""A pattern with many stars takes a search that has no end."""
SHOWN_CHARS = 40
NAME_CHARS = r"A-Za-z0-9_.*?\[\]-"
"""Of the name of an event, or of a pattern."""
YES, NO = ("", "1", "true"), ("0", "false")
"""What a parameter that is on or off may be; it may also be left out, for off."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class WrongParameterError(ValueError):
    """A parameter makes no sense; whoever sent it is told (`answers.wrong_parameter`)."""


def wanted_events(given: Mapping[str, str]) -> EventFilter:
    """Read which events a request wants.

    Raises: WrongParameterError: naming what is wrong.
    """
    level = given.get("level")
    if level is not None and level not in LEVELS:
        raise WrongParameterError(f"level is {shown(level)}; known: {', '.join(LEVELS)}")
    return EventFilter(
        since=moment(given, "since"),
        until=moment(given, "until"),
        engine=_short(given, "engine"),
        level=level,
        names=_names(given.get("names", "")),
        after_id=_whole(given, "after_id", default=0, least=0, most=MAX_ID),
        limit=_whole(given, "limit", default=1000, least=1, most=MAX_EVENTS),
    )


def moment(given: Mapping[str, str], key: str) -> float | None:
    """Read a time, in seconds since the epoch; None if it is not given.

    Raises: WrongParameterError: it is none.
    """
    value = _number(given, key)
    if value is not None and not 0 <= value <= MAX_MOMENT_S:
        raise WrongParameterError(
            f"{key} is {shown(given[key])}: seconds since 1970, up to the year 9999"
        )
    return value


def positive(given: Mapping[str, str], key: str) -> float | None:
    """Read a number above 0; None if it is not given.

    Raises: WrongParameterError: it is none.
    """
    value = _number(given, key)
    if value is not None and not 0 < value <= MAX_MOMENT_S:
        raise WrongParameterError(f"{key} is {shown(given[key])}: a number above 0")
    return value


def between(given: Mapping[str, str], key: str, least: float, most: float) -> float:
    """Read a number that has to be given.

    Raises: WrongParameterError: it is not, or is out of bounds.
    """
    value = _number(given, key)
    if value is None or not least <= value <= most:
        raise WrongParameterError(
            f"{key} is {shown(given.get(key, ''))}: from {least:g} to {most:g}"
        )
    return value


def _number(given: Mapping[str, str], key: str) -> float | None:
    """Return a number, NaN for what is none; None if it is not given."""
    text = given.get(key)
    if text is None:
        return None
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def flag(given: Mapping[str, str], key: str) -> bool:
    """Read whether something is wanted; it is not if nothing is said.

    Raises: WrongParameterError: it says neither.
    """
    text = given.get(key, "false")
    if text not in YES + NO:
        raise WrongParameterError(f"{key} is {shown(text)}: 'true', or 'false'")
    return text in YES


def chosen(given: Mapping[str, str], key: str, choices: Sequence[str]) -> str | None:
    """Read one of a few words; None if it is not given.

    Raises: WrongParameterError: it is none of them.
    """
    text = given.get(key)
    if text is not None and text not in choices:
        raise WrongParameterError(f"{key} is {shown(text)}: {' or '.join(choices)}")
    return text


def listed(given: Mapping[str, str], key: str) -> list[str]:
    """Read a list of names, separated by commas.

    Raises: WrongParameterError: they are too many, or one is too long.
    """
    names = [name for name in given.get(key, "").split(",") if name]
    if len(names) > MAX_NAMES:
        raise WrongParameterError(f"{key} has {len(names)} names: up to {MAX_NAMES} are taken")
    for name in names:
        if len(name) > MAX_NAME_CHARS:
            raise WrongParameterError(
                f"a name in {key} has {len(name)} characters: up to {MAX_NAME_CHARS} are taken"
            )
    return names


def shown(text: str) -> str:
    """Return what somebody sent as it may be shown and logged: short, and in one line."""
    cut = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return ascii(cut) if not cut.isprintable() else repr(cut)


def _names(given: str) -> tuple[str, ...]:
    names = listed({"names": given}, "names")
    for name in names:
        if not re.fullmatch(f"[{NAME_CHARS}]+", name) or name.count("*") > MAX_STARS:
            raise WrongParameterError(
                f"names has {shown(name)}: the name of an event, such as 'engine.exited', or a "
                f"pattern with up to {MAX_STARS} stars, such as 'engine.*'"
            )
    return tuple(names)


def _short(given: Mapping[str, str], key: str) -> str | None:
    text = given.get(key)
    if text is not None and len(text) > MAX_NAME_CHARS:
        raise WrongParameterError(
            f"{key} has {len(text)} characters: up to {MAX_NAME_CHARS} are taken"
        )
    return text


def _whole(given: Mapping[str, str], key: str, *, default: int, least: int, most: int) -> int:
    text = given.get(key, str(default))
    if not (len(text) <= SHOWN_CHARS and re.fullmatch(r"-?[0-9]+", text)):
        raise WrongParameterError(f"{key} is {shown(text)}: a whole number from {least} to {most}")
    if not least <= int(text) <= most:
        raise WrongParameterError(f"{key} is {text}: from {least} to {most}")
    return int(text)
