"""All classes of events, and any event of one."""

import importlib
import pkgutil
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import attrs
from hypothesis import strategies as st

import vllmd.events
from vllmd.events.base import TypedEvent

MODULES = [each.name for each in pkgutil.iter_modules(vllmd.events.__path__)]
CLASSES = [
    value
    for module in MODULES
    for value in vars(importlib.import_module(f"vllmd.events.{module}")).values()
    if isinstance(value, type) and issubclass(value, TypedEvent) and value is not TypedEvent
]


def any_of(kind: type[TypedEvent]) -> st.SearchStrategy[TypedEvent]:
    """Return events of a class with any values."""
    return st.builds(kind, **{field.name: _any(field.type) for field in attrs.fields(kind)})


def _any(kind: Any) -> st.SearchStrategy[Any]:
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if get_origin(kind) is UnionType:
        return st.one_of(*(_any(each) for each in get_args(kind)))
    return st.none() if kind is NoneType else st.from_type(kind)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
"""Any value that JSON may hold, or Python's reading of it."""


def any_fields(kind: type[TypedEvent]) -> st.SearchStrategy[dict[str, Any]]:
    """Return fields of a damaged row: those of a class, and others, each with any value."""
    names = st.sampled_from([field.name for field in attrs.fields(kind)] or ["x"]) | st.text()
    return st.dictionaries(names, ANYTHING)
