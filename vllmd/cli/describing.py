"""An engine's state in words, as the commands show it."""

from typing import Any

from vllmd.units import format_duration


def describe_state(engine: dict[str, Any]) -> str:
    """Return such as ``loading (weights, 40s left)`` or ``draining (3 requests left)``.

    `engine` is a status of the control socket; one of an older daemon lacks some fields.
    """
    detail = _detail(engine)
    return f"{engine['state']} ({detail})" if detail else str(engine["state"])


def _detail(engine: dict[str, Any]) -> str:
    if engine["phase"]:
        left_s = engine.get("start_left_s")
        left = "" if left_s is None else f", {format_duration(left_s)} left"
        return f"{engine['phase']}{left}"
    in_flight = engine.get("requests_running", 0) + engine.get("requests_waiting", 0)
    if engine["state"] == "draining":
        return f"{in_flight} requests left"
    return "busy" if engine["state"] == "ready" and in_flight else ""
