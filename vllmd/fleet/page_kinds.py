"""What a host's page says of an engine, with what is of another kind left out. Pure.

A page is of another host, perhaps of another version, or of another program. What is missing or of
another kind is not known, so nobody behind this file has to look again.
"""

from collections.abc import Callable, Mapping
from typing import Any

Kind = Callable[[Any], bool]
MOST = 2.0**53
"""No time and no count is as large; a NaN is not smaller either."""


def is_number(value: Any) -> bool:
    """Tell whether it is a number that can be reckoned with: a time, a length, a count."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and is_number(value)


def _is_there(value: Any) -> bool:
    return value is not None


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_DIAGNOSIS: Mapping[str, Kind] = {"explanation": _is_text}
KINDS: Mapping[str, Kind | Mapping[str, Any]] = {
    "name": _is_text,
    "served_names": _is_names,
    "state": _is_text,
    "since": is_number,
    "up": _is_flag,
    "wanted": _is_flag,
    "started_at": is_number,
    "phase": _is_text,
    "reason": _is_text,
    "requests_running": _is_count,
    "requests_waiting": _is_count,
    "tokens_per_s": is_number,
    "vllm_version": _is_text,
    "command_changed": _is_flag,
    "wrong_answers": _is_there,
    "probe": {
        "verdict": _is_text,
        "asked_in_run": _is_flag,
        "asked_at": is_number,
        "found": _is_text,
    },
    "last_exit": {
        "requested": _is_flag,
        "at": is_number,
        "text": _is_text,
        "diagnosis": _DIAGNOSIS,
    },
    "hold": {"reason": _is_text},
    "group": {"role": _is_text, "id": _is_text, "size": _is_count, "vllm": _is_text},
}
"""The fields that are asked for, and what each is; a table is an object of fields."""


def of_kind(shown: Any, kinds: Mapping[str, Any] = KINDS) -> dict[str, Any] | None:
    """Return the known fields of an object that are of their kind; None if it is no object."""
    if not isinstance(shown, dict):
        return None
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = shown.get(name)
        if isinstance(kind, Mapping):
            if (inner := of_kind(value, kind)) is not None:
                found[name] = inner
        elif kind(value):
            found[name] = value
    return found
