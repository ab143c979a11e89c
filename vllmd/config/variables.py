"""Keys of the configuration that are given by environment variables: `VLLMD__ENGINES__CHAT__MODEL`.

Two underscores are before each part of a key. A value is read as TOML where it is a value of TOML,
and else as a string; a variable stands above the same key in the file.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.config import rules
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem
from vllmd.config.toml_text import has_larger
from vllmd.config.variable_names import PREFIX, SEPARATOR, Path

_AS_TEXT = frozenset({"env", "headers", "modules"})
"""Tables of strings, whose names are kept as they are written."""
_NEARLY = re.compile(r"VLLMD_?(?!_)\w+__\w+", re.IGNORECASE)


@attrs.frozen
class EnvironmentKeys:
    """What variables gave: the table with it, who gave what, and what is wrong with them."""

    table: dict[str, Any]
    variables: Mapping[Path, str]
    problems: tuple[ConfigProblem, ...] = ()


def merge(table: dict[str, Any], env: Mapping[str, str]) -> EnvironmentKeys:
    """Put what variables give into the table of a file, in place.

    What no key has is put there too: whoever reads the table refuses it by its name.
    """
    given: dict[Path, str] = {}
    problems = []
    for name in sorted(env):
        if not name.upper().startswith(PREFIX):
            if _NEARLY.fullmatch(name):
                problems.append(_nearly(name))
            continue
        try:
            path, value = _read(name, env[name], table)
            if (other := given.get(path)) is not None:
                raise ValueError(f"gives what {other} gives too", "take one of them out")
            _put(table, path, value)
            given[path] = name
        except ValueError as error:
            message, fix = error.args
            problems.append(ConfigProblem(message, fix, variable=name))
    return EnvironmentKeys(table, given, tuple(problems))


def _nearly(name: str) -> ConfigProblem:
    """Return what is said of a variable with one underscore, or none, after VLLMD."""
    rest = re.sub(r"(?i)^VLLMD_?", "", name)
    return ConfigProblem(
        "is read by nothing: two underscores come after VLLMD too",
        f"call it {PREFIX}{rest}, or take it out",
        variable=name,
    )


def _read(name: str, text: str, table: Mapping[str, Any]) -> tuple[Path, Any]:
    """Return the key that a variable gives, and its value.

    Raises: ValueError: with what is wrong, and what to do.
    """
    parts = name[len(PREFIX) :].split(SEPARATOR)
    if not all(parts):
        raise ValueError("names no key", f"write it as {PREFIX}ENGINES__CHAT__MODEL is written")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8", "give it in UTF-8") from None
    path, key = _key_of(parts, table)
    if key is None:
        return path, _typed(text)
    below = parts[len(path) :]
    if not below:
        return path, _fitting(key.metadata["rule"], text)
    # a flag is written as vLLM has it, a variable or an adapter as it is called
    first = below[0].lower().replace("_", "-") if key.name == "flags" else below[0]
    rest = [part.lower() for part in below[1:]]
    value = text if key.name in _AS_TEXT else _exact(text)
    return (*path, first, *rest), value


def _key_of(parts: list[str], table: Mapping[str, Any]) -> tuple[Path, Any]:
    """Return the path down to the key that is meant, and its field; None if there is none."""
    path: Path = ()
    cls: type = Config
    words = list(parts)
    while words:
        word = words.pop(0).lower()
        field = next((f for f in attrs.fields(cls) if f.name == word and f.metadata), None)
        path = (*path, word)
        if field is None:
            break
        section = field.metadata.get("section")
        if section is None:
            return path, field
        cls = section
        if field.metadata["many"] and words:
            path = (*path, _one_of(words.pop(0).lower(), table.get(word)))
    return (*path, *(word.lower() for word in words)), None


def _one_of(word: str, known: Any) -> str:
    """Return the engine that is meant: a variable's name cannot have every character of its name.

    Raises: ValueError: it could be several.
    """
    names = list(known) if isinstance(known, dict) else []
    if word in names:
        return word
    alike = [name for name in names if name.replace("-", "_") == word]
    if len(alike) > 1:
        raise ValueError(f"could mean {' and '.join(alike)}", "rename one of these engines")
    return alike[0] if alike else word


def _put(table: dict[str, Any], path: Path, value: Any) -> None:
    """Set a key; where the file has no table on the way, that mistake is the file's."""
    for part in path[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{part} is no table", "take out what gives it a value")
        table = inner
    table[path[-1]] = value


def _typed(text: str) -> Any:
    """Return a value of TOML, or the text if it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = found.get("value")
    known = isinstance(value, bool | int | float | str | list | dict) and not has_larger(value)
    return value if known and len(found) == 1 else text


def _exact(text: str) -> Any:
    """Return the same, but a number only if it is written as it would be again."""
    value = _typed(text)
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) != text:
        return text
    return value


def _fitting(rule: rules.Rule, text: str) -> Any:
    """Return the value that the rule takes: that of TOML, else the text; the first if neither."""
    typed = _typed(text)
    for value in (typed, text):
        try:
            rule(value)
        except rules.RuleError:
            continue
        return value
    return typed
