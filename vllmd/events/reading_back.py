"""Events out of what the log or the history kept of them. Pure: no I/O.

A row may be years old, or damaged: what is not known is passed over, what is missing or of a wrong
kind is as if it had not been said. Nothing here raises.
"""

import sys
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin

import attrs

from vllmd.events.base import TypedEvent

_E = TypeVar("_E", bound=TypedEvent)
_WRONG = object()
_LARGEST = sys.float_info.max

Kinds = Mapping[str, type[TypedEvent]]
"""Classes by the names of their events: those that somebody reads."""


class EventRecord(Protocol):
    """What the log or the history has of an event."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def fields(self) -> Any:
        """Its fields; of a damaged row, anything."""


def by_name(*kinds: type[TypedEvent]) -> Kinds:
    """Return what `read_back` is to know."""
    return {kind.name: kind for kind in kinds}


def read_back(kinds: Kinds, record: EventRecord) -> TypedEvent | None:
    """Return the event that a record is of; None if that is none of `kinds`."""
    kind = kinds.get(record.name)
    return from_fields(kind, record.fields) if kind is not None else None


def from_fields(kind: type[_E], fields: object) -> _E:
    """Return the event that was told with these fields, whatever they are."""
    given = fields if isinstance(fields, Mapping) else {}
    return kind(**{field.name: _value(field, given) for field in attrs.fields(kind)})


def _value(field: "attrs.Attribute[Any]", given: Mapping[Any, Any]) -> Any:
    if field.name in given:
        value = _as(field.type, given[field.name])
        if value is not _WRONG:
            return value
    return _empty(field.type) if field.default is attrs.NOTHING else field.default


def _as(kind: Any, value: Any) -> Any:
    """Return a value as one of that kind; `_WRONG` if it is of another."""
    origin = get_origin(kind)
    if origin is UnionType:
        fitting = (_as(each, value) for each in get_args(kind))
        return next((each for each in fitting if each is not _WRONG), _WRONG)
    if origin is tuple and isinstance(value, list | tuple):
        read = (_as(get_args(kind)[0], each) for each in value)
        return tuple(each for each in read if each is not _WRONG)
    if origin is Mapping and isinstance(value, Mapping):
        of_key, of_value = get_args(kind)
        pairs = ((_as(of_key, key), _as(of_value, each)) for key, each in value.items())
        return {key: each for key, each in pairs if key is not _WRONG and each is not _WRONG}
    return _plain_as(kind, value)


def _plain_as(kind: Any, value: Any) -> Any:
    if kind is NoneType:
        return None if value is None else _WRONG
    if isinstance(value, bool):
        return value if kind is bool else _WRONG
    if kind in (str, int) and isinstance(value, kind):
        return value
    number = isinstance(value, int | float)
    if number and kind in (str, float) and abs(value) <= _LARGEST:
        return kind(value)
    return _WRONG


def _empty(kind: Any) -> Any:
    """Return what a field without a default has where nothing is known of it."""
    if get_origin(kind) is UnionType:
        return None if NoneType in get_args(kind) else _empty(get_args(kind)[0])
    plain = get_origin(kind) or kind
    return {} if plain is Mapping else plain()
