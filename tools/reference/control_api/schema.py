"""JSON Schema of Python's types: of attrs classes, enums, mappings and sequences."""

import enum
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
ANY: Schema = {}
_PLAIN: Mapping[Any, Schema] = {
    type(None): NULL,
    str: STRING,
    float: NUMBER,
    int: INTEGER,
    bool: BOOLEAN,
    Any: ANY,
}


def of(hint: Any) -> Schema:
    """Return the schema of what a type hint allows, as `attrs.asdict` and JSON write it.

    Raises: TypeError: nothing is known of such a type.
    """
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any_of(*(of(each) for each in arguments))
    if origin in (tuple, list, Sequence):
        return array(of(arguments[0]))
    if origin in (dict, Mapping):
        return mapping(of(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [str(each) for each in hint]}
    if isinstance(hint, type) and attrs.has(hint):
        return fields_of(hint)
    raise TypeError(f"no schema for {hint!r}: add it to {__file__}")


def fields_of(cls: type, without: Collection[str] = (), **more: Schema) -> Schema:
    """Return the schema of an attrs class; `more` are keys that its `to_json` adds or changes."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in attrs.fields(cls) if field.name not in (*without, *more)]
    about = (cls.__doc__ or "").partition("\n\n")[0]
    return record(" ".join(about.split()), **{name: of(hints[name]) for name in names}, **more)


def record(description: str, /, **properties: Schema) -> Schema:
    """Return the schema of an object with these keys, and maybe others of a later version."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """Return the schema of an object with any keys."""
    return {"type": "object", "additionalProperties": values}


def any_of(*choices: Schema) -> Schema:
    """Return the schema of what is one of these."""
    if all(set(each) == {"type"} for each in choices):
        return {"type": [each["type"] for each in choices]}
    return {"anyOf": list(choices)}


def or_null(schema: Schema) -> Schema:
    """Return the schema of what may be missing."""
    return any_of(schema, NULL)
