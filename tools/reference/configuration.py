"""Every key of vllmd.toml, from the model that reads it."""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tools.reference.markdown import block, code, page, plain
from vllmd.config.reference import TABLES, shown
from vllmd.config.rules import RuleError

ABOUT = """\
`/etc/vllmd/vllmd.toml` is TOML. Each engine is a table of its own, `[engines.NAME]`; all keys but
`model` have defaults. [`vllmd check`](commands.md#vllmd-check) says what is wrong with a file,
with its lines; [`vllmd reload`](commands.md#vllmd-reload) reads it again while the engines serve.
Each key is also a [variable](../configure.md#by-environment-variables): `daemon.listen` is
`VLLMD__DAEMON__LISTEN`, `engines.chat.port` is `VLLMD__ENGINES__CHAT__PORT`.
[Configuring vllmd](../configure.md) leads to a first file.
"""
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def configuration() -> str:
    """Return the page."""
    parts: list[str] = []
    for title, model in TABLES:
        name = title.removeprefix("# ").strip("[]").replace("engines.chat", "engines.NAME")
        words = " ".join((model.__doc__ or "").split(";")[0].split())
        parts += [f"## [{name}]", f"{plain(words).rstrip('.')}."]
        for field in attrs.fields(model):
            if "rule" in field.metadata:
                parts += _key(name, field)
    return page("Configuration", ABOUT, parts)


def _key(table: str, field: "attrs.Attribute[Any]") -> Iterator[str]:
    below = table.rpartition(".")[2]
    yield f"### {field.name if below == 'NAME' else f'{below}.{field.name}'}"
    yield plain(field.metadata["help"])
    facts = [f"Type: {kind(field.type)}", _default(field.default)]
    if field.type is not bool and (expected := accepts(field.metadata["rule"])):
        facts.append(f"accepts {plain(expected)}")
    yield " · ".join(facts)
    if field.metadata["reason"]:
        yield f"Why: {plain(field.metadata['reason'])}"
    if field.metadata["example"]:
        yield block(f"{field.name} = {field.metadata['example']}", "toml")


def _default(value: Any) -> str:
    if value is attrs.NOTHING:
        return "required"
    if value is None or (isinstance(value, tuple | Mapping) and not value):
        return "not set by default"
    if isinstance(value, tuple) and isinstance(value[-1], int):
        value = ":".join(map(str, value))
    return f"default: {code(shown(value))}"


def kind(annotation: Any) -> str:
    """Return what of TOML's kinds a key has."""
    inner = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(kind(each) for each in inner if each is not type(None))
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return "string" if int in inner else "string or list of strings"
    if origin is not None:
        return "table"
    return _TYPES.get(annotation, "string")


def accepts(rule: Any) -> str:
    """Return what a rule says that it accepts, when it gets something that it does not."""
    try:
        rule(object())
    except RuleError as error:
        return error.expects
    except (TypeError, AttributeError):
        return ""
    return ""
