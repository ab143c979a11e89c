"""What an event is, and the one way to tell one.

An event is told as one line of the log; the journal, the history and the webhook get that line's
fields, after secrets were masked in it. Who reads an event gets it back by `reading_back`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import attrs

Level = Literal["debug", "info", "warning", "error"]
_T = TypeVar("_T")
_OMITTED = "omitted"


@attrs.frozen(kw_only=True)
class TypedEvent:
    """One event. Its fields stand in the line in their order, and are public by their names."""

    name: ClassVar[str] = ""
    """``noun.past``, as the log and the history have it."""
    level: ClassVar[Level] = "info"
    engine_at: ClassVar[int] = 0
    """Before which field the engine is named in the line."""


def omitted(default: _T) -> _T:
    """Make a field that is left out of the line where it has its default."""
    field: _T = attrs.field(default=default, metadata={_OMITTED: True})
    return field


def to_fields(event: TypedEvent) -> dict[str, Any]:
    """Return the fields of an event as the log and the history have them, without its engine."""
    shown = {}
    for field in attrs.fields(type(event)):
        value = getattr(event, field.name)
        if not (field.metadata.get(_OMITTED) and value == field.default):
            shown[field.name] = _plain(value)
    return shown


def emit(
    log: Any,
    event: TypedEvent,
    *,
    engine: str | None = None,
    level: Level | None = None,
    exc_info: BaseException | bool | None = None,
) -> None:
    """Tell an event to the log; `engine` where the log is not that of one.

    `level` is for an event that is graver, or less grave, than others of its name.
    """
    fields = to_fields(event)
    if engine is not None:
        told = list(fields.items())
        told.insert(event.engine_at, ("engine", engine))
        fields = dict(told)
    if exc_info is not None:
        fields["exc_info"] = exc_info
    getattr(log, level or event.level)(event.name, **fields)


def _plain(value: Any) -> Any:
    """Return a value of JSON's kinds."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value
