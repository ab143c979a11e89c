"""A configuration as TOML: what was imported, and nothing that is the default. Pure."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from vllmd.importing.table import EngineTable

_FIRST = ("model", "served_model_name", "executable", "host", "port")


def write(tables: Mapping[str, EngineTable], logs: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the file, with a table for each engine by its name; `logs` are the keys of theirs."""
    lines = [
        "# Made by 'vllmd import'; 'vllmd check' shows the command, 'vllmd doctor' what may fail."
    ]
    for index, (name, table) in enumerate(tables.items()):
        lines += [*([""] if index else []), *_lines(name, table)]
    if logs:
        lines += ["\n[logs]", *(f"{key} = {value(each)}" for key, each in logs.items())]
    return "\n".join(lines) + "\n"


def _lines(name: str, table: EngineTable) -> Iterator[str]:
    yield f"[engines.{name}]"
    for key in sorted(table.keys, key=lambda k: (_FIRST.index(k) if k in _FIRST else 9, k)):
        yield f"{key} = {value(table.keys[key])}"
    if table.has_lora or table.lora:
        yield f"\n[engines.{name}.lora]"
        yield from (f"{key} = {value(each)}" for key, each in table.lora.items())
    for title, entries in (("flags", table.flags), ("env", table.env)):
        if entries:
            yield f"\n[engines.{name}.{title}]"
            yield from (f"{_key(key)} = {value(each)}" for key, each in entries.items())


def value(each: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(each, Mapping):
        inner = ", ".join(f"{_key(key)} = {value(item)}" for key, item in each.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(each, list):
        return f"[{', '.join(map(value, each))}]"
    return _quoted(each)


def _quoted(each: Any) -> str:
    """Return a scalar: TOML's are JSON's, but that it takes no DEL as it is."""
    return json.dumps(each, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _quoted(name)
