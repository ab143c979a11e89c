"""Every event with its fields, from its class."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import attrs

import vllmd.events
from tools.reference.markdown import code, page, plain, table
from vllmd.events.base import TypedEvent

ABOUT = """\
An event is one line of the log, one row of the history (`vllmd events --json`, kept as
[`[history]`](configuration.md#history) says), and an entry of the journal with fields
(`VLLMD_EVENT`, `VLLMD_ENGINE` and one for each field below). An event of an engine has its name
in `engine`. What is marked *sometimes* is left out where there is nothing to say.
"""
_MODULES = (
    "engine",
    "weights",
    "gpu",
    "groups",
    "lora",
    "probe",
    "requests",
    "traces",
    "history",
    "daemon",
)


def events() -> str:
    """Return the page."""
    parts: list[str] = []
    for module in _MODULES:
        loaded = importlib.import_module(f"vllmd.events.{module}")
        parts += [f"## {_title(loaded)}"]
        for each in classes(module):
            parts += _section(each)
    return page("Events", ABOUT, parts)


def classes(module: str) -> list[type[TypedEvent]]:
    """Return the events of a file, in its order."""
    loaded = importlib.import_module(f"vllmd.events.{module}")
    return [
        each
        for each in vars(loaded).values()
        if inspect.isclass(each)
        and issubclass(each, TypedEvent)
        and each.name
        and each.__module__ == loaded.__name__
    ]


def modules() -> set[str]:
    """Return the files of vllmd/events that have events."""
    found = (each.name for each in pkgutil.iter_modules(vllmd.events.__path__))
    return {name for name in found if classes(name)}


def _title(module: Any) -> str:
    words = (module.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return plain(words.removeprefix("The events of ").capitalize())


def _section(event: type[TypedEvent]) -> Iterator[str]:
    yield f"### {event.name}"
    yield f"{plain(event.__doc__ or '')} Level: {event.level}."
    rows = [
        [code(f.name), _type(f.type), "sometimes" if f.metadata.get("omitted") else "always"]
        for f in attrs.fields(event)
    ]
    if rows:
        yield table(["field", "type", "there"], rows)


def _type(annotation: Any) -> str:
    """Return a type in the words of JSON."""
    inner = [each for each in typing.get_args(annotation) if each is not type(None)]
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(code(str(each)) for each in inner)
    if origin is tuple or origin is list:
        return f"list of {_type(inner[0])}s"
    if origin is not None and issubclass(origin, typing.Mapping):
        return "object"
    if inner:
        return " or ".join(_type(each) for each in inner)
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return names.get(annotation, "string")
