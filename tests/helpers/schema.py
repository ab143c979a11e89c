"""The part of JSON Schema that `vllmd/status/schema.json` uses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vllmd.status

SCHEMA = json.loads((Path(vllmd.status.__file__).parent / "schema.json").read_text())
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def broken(document: Any, *, local: bool = True) -> list[str]:
    """Return what of a document is not as the schema has it; not `local`: as the port answers."""
    return list(_broken(json.loads(json.dumps(document)), SCHEMA, "document", local))


def _broken(value: Any, schema: dict[str, Any], where: str, local: bool) -> Iterator[str]:
    types = schema.get("type")
    named = types if isinstance(types, list) else [types]
    fits = [t for t in named if t and isinstance(value, _TYPES[t])]
    if isinstance(value, bool):
        fits = [t for t in fits if t == "boolean"]
    if types and not fits:
        yield f"{where}: {value!r} is no {types}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']}"
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _broken(each, schema["items"], f"{where}[{index}]", local)
    if isinstance(value, dict):
        yield from _broken_fields(value, schema, where, local)


def _broken_fields(
    value: dict[str, Any], schema: dict[str, Any], where: str, local: bool
) -> Iterator[str]:
    known = schema.get("properties", {})
    hidden = set() if local else {k for k, each in known.items() if each.get("local")}
    for key in schema.get("required", ()):
        if key not in value and key not in hidden:
            yield f"{where}.{key} is missing"
    for key, each in value.items():
        there = f"{where}.{key}"
        if key in hidden:
            yield f"{there} is for this host only"
        elif key in known:
            yield from _broken(each, known[key], there, local)
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from _broken(each, schema["additionalProperties"], there, local)
        else:
            yield f"{there} is not in the schema"
