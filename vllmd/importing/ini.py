"""Files of sections and keys: units of systemd and of podman, supervisord's. Pure.

Keys may be given several times, and every value has its line. Source: systemd.syntax(7).
"""

import re
from collections.abc import Iterator

import attrs


@attrs.frozen
class IniValue:
    """One value of a key."""

    section: str
    key: str
    value: str
    source: str
    line: int


def begins_with_section(text: str) -> bool:
    """Tell such a file by its first line that is no comment."""
    first = next((line.strip() for line in text.splitlines() if re.match(r"\s*[^#;\s]", line)), "")
    return bool(re.fullmatch(r"\[[^\[\]]+\]", first))


def settings_of(text: str, source: str, *, indented: bool = False) -> list[IniValue]:
    """Return the settings of a file in their order.

    `indented`: a line that begins with a space goes on with the value before it, as supervisord has
    it; else a backslash at the end of a line goes on, as systemd has it.
    """
    section = ""
    found: list[IniValue] = []
    for number, line in _lines(text, joined=not indented):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if heading := re.fullmatch(r"\[(.+)\]", stripped):
            section = heading[1]
        elif indented and line[0] in " \t" and found:
            last = found[-1]
            found[-1] = attrs.evolve(last, value=f"{last.value}\n{_uncommented(stripped)}".strip())
        elif "=" in stripped:
            key, _, value = stripped.partition("=")
            value = _uncommented(value.strip()) if indented else value.strip()
            found.append(IniValue(section, key.strip(), value, source, number))
    return found


def _uncommented(value: str) -> str:
    return re.sub(r"\s;.*", "", value)


def _lines(text: str, *, joined: bool) -> Iterator[tuple[int, str]]:
    """Yield lines with their number; those that a backslash joins are one."""
    waiting, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if waiting and line.lstrip()[:1] in ("#", ";"):
            continue
        first = first if waiting else number
        if joined and line.endswith("\\"):
            waiting += f"{line[:-1]} "
            continue
        yield first, waiting + line
        waiting = ""
    if waiting:
        yield first, waiting
