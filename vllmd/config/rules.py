"""What a configuration key accepts, and the words to say when it got something else."""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs

MISSING: Any = attrs.NOTHING


class RuleError(ValueError):
    """A value breaks its rule; `expects` says what would be right."""

    def __init__(self, expects: str) -> None:
        super().__init__(expects)
        self.expects = expects


Rule = Callable[[Any], Any]
"""Takes the TOML value, returns the value to keep, or raises `RuleError`."""


def key(
    rule: Rule, default: Any = MISSING, *, help: str, example: str = "", reason: str = ""
) -> Any:
    """Declare one configuration key: what it accepts, its default, and its documentation.

    `example` is TOML for the generated reference, where the default would show nothing; `reason`
    says why the default is what it is.
    """
    metadata = {"rule": rule, "help": help, "example": example, "reason": reason}
    return attrs.field(default=default, metadata=metadata)


def section(cls: type, default: Any = MISSING, *, many: bool = False, help: str) -> Any:
    """Declare a table of keys (`cls`), or a table of such tables by name (`many`)."""
    metadata = {"section": cls, "many": many, "help": help}
    if default is MISSING and not many:
        return attrs.field(factory=cls, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def text(value: Any) -> str:
    """Accept a string that says something."""
    if not isinstance(value, str) or not value.strip():
        raise RuleError("a non-empty string")
    if "\0" in value:
        raise RuleError("a string without NUL characters")
    return value


def boolean(value: Any) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise RuleError("true or false")
    return value


def integer(low: int, high: int | None = None) -> Rule:
    """Accept a whole number within the limits, both included."""
    expects = f"a whole number from {low} to {high}" if high else f"a whole number, {low} or more"

    def rule(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise RuleError(expects)
        if value < low or (high is not None and value > high):
            raise RuleError(expects)
        return value

    return rule


def number(low: float, high: float | None = None, *, above: bool = False) -> Rule:
    """Accept a number within the limits; `above` leaves the lower one out."""
    expects = f"a number {'above' if above else 'from'} {low:g}"
    if high is not None:
        expects += f" {'and at most' if above else 'to'} {high:g}"

    def rule(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise RuleError(expects)
        below = value <= low if above else value < low
        if below or (high is not None and value > high) or math.isnan(value):
            raise RuleError(expects)
        return float(value)

    return rule


def matching(pattern: str, expects: str) -> Rule:
    """Accept a string of that pattern, whole."""
    compiled = re.compile(pattern)

    def rule(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise RuleError(expects)
        return value

    return rule


def either(expects: str, *rules: Rule) -> Rule:
    """Accept what one of the rules accepts."""

    def rule(value: Any) -> Any:
        for candidate in rules:
            try:
                return candidate(value)
            except RuleError:
                continue
        raise RuleError(expects)

    return rule


def one_or_more_texts(value: Any) -> tuple[str, ...]:
    """Accept a string or a list of strings."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise RuleError("a string or a non-empty list of strings")
    try:
        return tuple(text(item) for item in values)
    except RuleError:
        raise RuleError("a string or a non-empty list of strings") from None


def absolute_path(value: Any) -> str:
    """Accept an absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise RuleError("an absolute path")
    return value.rstrip("/") or "/"


def web_address(value: Any) -> str:
    """Accept an address that a browser opens: http or https, without a password in it."""
    given = text(value)
    if not re.fullmatch(r"https?://[^\s/?#@\"'<>]+([/?#][^\s\"'<>]*)?", given):
        raise RuleError("an address such as https://grafana.example.org")
    return given


def address(value: Any) -> tuple[str, int]:
    """Accept a host and a port to listen on."""
    expects = 'an address with a port, such as "0.0.0.0:9840" or "[::]:9840"'
    pattern = r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):\d+"
    host, colon, port = matching(pattern, expects)(value).rpartition(":")
    if not colon or not 0 < int(port) <= 65535:
        raise RuleError(expects)
    return host.strip("[]") or "0.0.0.0", int(port)


def address_or_none(value: Any) -> tuple[str, int] | None:
    """Accept an address, or an empty string for none."""
    if value == "":
        return None
    try:
        return address(value)
    except RuleError as error:
        raise RuleError(f'{error.expects}; or "" for none') from None


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean "x"?`` or nothing.

    Returns: an empty string if nothing known looks like `word`.
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""
