"""A change of a key as a change of the configuration file: a diff that can be applied. Pure.

Only what is certain is written: the changed text is read again, and must say the same as before but
for that key. Else there is no diff, and a person edits by hand.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

from vllmd.config.lines import parse_lines

_VALUE = re.compile(r"^(?P<before>\s*[^=]+=\s*)(?P<value>[^#]*?)(?P<after>\s*(#.*)?)$")


def changed(source: str, table: Sequence[str], key: Sequence[str], value: Any) -> str | None:
    """Return a TOML text with a key of a table set to a number or text; None takes the key out.

    `key` is below the table, such as ``("flags", "max-num-queued-reqs")``.
    Returns: None if it cannot be done without doubt.
    """
    if not source:
        return None
    lines, known = source.splitlines(), parse_lines(source)
    path = (*table, *key)
    spelled = next((p for p in known if _same(p, path)), None)
    if spelled is not None:
        index = known[spelled] - 1
        match = _VALUE.match(lines[index])
        if match is None or lines[index].lstrip().startswith("["):
            return None
        new = [] if value is None else [f"{match['before']}{_toml(value)}{match['after']}"]
        lines[index : index + 1] = new
    elif value is None:
        return None
    elif not _set_inline(lines, known, path, value):
        _insert(lines, known, tuple(table), tuple(key), value)
    made = "\n".join(lines) + "\n"
    return made if _is_only_change(source, made, path, value) else None


def unified(source: str, made: str, path: str) -> str:
    """Return the difference of two texts of a file, for `patch -p0`; with its last line's end."""
    pairs = source.splitlines(keepends=True), made.splitlines(keepends=True)
    parts = [line if line.endswith("\n") else f"{line}\n" for line in
             difflib.unified_diff(*pairs, fromfile=path, tofile=path)]  # fmt: skip
    return "".join(parts)


def _set_inline(
    lines: list[str], known: dict[tuple[str, ...], int], path: tuple[str, ...], value: Any
) -> bool:
    """Set a number within an inline table that stands in one line; tell whether it was found."""
    outer = next((p for p in known if _same(p, path[:-1])), None)
    if outer is None:
        return False
    name = re.escape(path[-1])
    index, found = known[outer] - 1, re.compile(rf"(\b{name}\s*=\s*)[0-9.]+")
    lines[index], times = found.subn(rf"\g<1>{_toml(value)}", lines[index])
    return times == 1


def _insert(
    lines: list[str],
    known: dict[tuple[str, ...], int],
    table: tuple[str, ...],
    key: tuple[str, ...],
    value: Any,
) -> None:
    """Put a key at the end of its table's own keys; make the table if there is none."""
    inner = (*table, *key[:-1])
    if inner in known and lines[known[inner] - 1].lstrip().startswith("["):
        own = [n for p, n in known.items() if p[:-1] == inner and not _is_table(lines, n)]
        # after a value of several lines it would be inside of it: that is found, and given up
        lines.insert(max([known[inner], *own]), f"{key[-1]} = {_toml(value)}")
    elif len(key) > 1:
        own = [n for p, n in known.items() if p[: len(table)] == table]
        end = _end_of_table(lines, max(own, default=len(lines)))
        lines[end:end] = ["", f"[{'.'.join(inner)}]", f"{key[-1]} = {_toml(value)}"]


def _end_of_table(lines: list[str], after: int) -> int:
    """Return the index after the last line of what begins or goes on at line `after` (from 1)."""
    index = after
    while index < len(lines) and not lines[index].lstrip().startswith("["):
        index += 1
    while index > after and not lines[index - 1].strip():
        index -= 1
    return index


def _is_table(lines: list[str], number: int) -> bool:
    return lines[number - 1].lstrip().startswith("[")


def _same(one: Sequence[str], two: Sequence[str]) -> bool:
    """Tell whether two paths are the same; flags may have _ for -."""
    return [p.replace("_", "-") for p in one] == [p.replace("_", "-") for p in two]


def _toml(value: Any) -> str:
    return json.dumps(value)


def _is_only_change(before: str, after: str, path: Sequence[str], value: Any) -> bool:
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        return False
    got = _take(new, path)
    _take(old, path)
    return bool(got == value and _pruned(old) == _pruned(new))


def _take(document: dict[str, Any], path: Sequence[str]) -> Any:
    """Take a key out of a document, and return its value; None if there is none."""
    at: Any = document
    for index, part in enumerate(path):
        if not isinstance(at, dict):
            return None
        name = next((n for n in at if _same([n], [part])), None)
        if name is None:
            return None
        if index == len(path) - 1:
            return at.pop(name)
        at = at[name]
    return None


def _pruned(document: Any) -> Any:
    """Leave out empty tables: one that was made for the key is no other change."""
    if not isinstance(document, dict):
        return document
    inner = {name: _pruned(value) for name, value in document.items()}
    return {name: value for name, value in inner.items() if value != {}}
