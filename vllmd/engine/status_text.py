"""An engine's state in words, as the commands show it."""

from typing import Any

from vllmd.engine.state_machine import State
from vllmd.util.units import format_bytes, format_duration


def describe_state(engine: dict[str, Any]) -> str:
    """Return such as ``loading (weights, 40s left)`` or ``draining (3 requests left)``.

    `engine` is a status of the control socket; one of an older daemon lacks some fields.
    """
    detail = _detail(engine)
    return f"{engine['state']} ({detail})" if detail else str(engine["state"])


def describe_log_problem(problem: str, log: str) -> str:
    """Return what to know where the disk does not take an engine's log."""
    folder = log.rpartition("/")[0] or "/"
    return (
        f"its log is not written: {problem}; the newest lines are in memory only; make room: "
        f"'df -h {folder}' shows the file system"
    )


def _detail(engine: dict[str, Any]) -> str:
    if engine["phase"]:
        left_s = engine.get("start_left_s")
        left = "" if left_s is None else f", {format_duration(left_s)} left"
        return f"{engine['phase']}{left}"
    running, waiting = engine.get("requests_running"), engine.get("requests_waiting")
    in_flight = None if running is None else running + (waiting or 0)
    sleep = engine.get("sleep") or {}  # not of an older daemon
    if engine["state"] == State.DRAINING:
        return "requests not known" if in_flight is None else f"{in_flight} requests left"
    if engine["state"] != State.READY:
        awaited = "waits for GPU memory" if engine.get("awaited_memory") else ""
        awaited = "waits for its turn" if engine.get("awaited_load") else awaited
        awaited = f"waits for {sleep['turn_of']}" if sleep.get("turn_of") else awaited
        awaited = _asleep(sleep) if engine["state"] == State.SLEEPING and not awaited else awaited
        awaited = "its weights load" if _loads_weights(engine) else awaited
        return str((engine.get("hold") or {}).get("cause", awaited))
    return _detail_of_ready(engine, in_flight)


def _detail_of_ready(engine: dict[str, Any], in_flight: int | None) -> str:
    if not engine.get("up", True):  # its run has ended just now, or its group is red
        return "takes no requests"
    if (engine.get("probe") or {}).get("verdict") == "wrong":
        return "wrong answers"
    adapters = engine.get("adapters") or {"wanted": 0, "loaded": 0}
    if adapters["loaded"] < adapters["wanted"]:
        return f"{adapters['loaded']} of {adapters['wanted']} adapters"
    no_step_s = engine.get("no_step_s")
    slow = "" if no_step_s is None else f", no step for {format_duration(no_step_s)}"
    return f"busy{slow}" if in_flight else ""


def _asleep(sleep: dict[str, Any]) -> str:
    """Return such as ``level 1`` or ``wakes``."""
    if not sleep:
        return ""
    wakes = sleep["wanted"] == "awake" and sleep["asleep_at"] is not None
    return "wakes" if wakes and sleep["refused"] is None else f"level {sleep['level']}"


def describe_sleep(sleep: dict[str, Any]) -> str:
    """Return what is to be known of an engine's sleep, in one line."""
    said = []
    if sleep["asleep_at"] is not None:
        said.append(f"asleep at level {sleep['level']} by {sleep['by']}")
        if sleep["freed_bytes"] is not None:
            freed, held = format_bytes(sleep["freed_bytes"]), format_bytes(sleep["held_bytes"])
            said.append(f"{freed} of GPU memory given back, {held} held")
    else:
        said.append(f"awake, sleeps at level {sleep['level']}")
        if sleep["after_idle_s"] is not None:
            said.append(f"after {format_duration(sleep['after_idle_s'])} without a request")
    if sleep["schedule"]:
        said.append(f"awake {sleep['schedule']}")
    if sleep["share"]:
        said.append(f"takes turns ({sleep['share']})")
    if sleep["refused"]:
        said.append(f"not {sleep['wanted'] or 'changed'}: {sleep['refused']}")
    return "; ".join(said)


def describe_probe(probe: dict[str, Any]) -> str:
    """Return what is to be known of an engine's answers, in one line."""
    verdict, found = probe["verdict"], probe["found"]
    if verdict == "right" and probe["distance"] is not None:
        said = (
            f"right ({probe['distance']:.2f} nats from the reference, {probe['limit']:.2f} allowed)"
        )
        return f"{said}; {found}" if found else said
    words = {"unknown": "not asked yet", "not_applicable": "cannot be looked at"}
    said = words.get(verdict, str(verdict))
    return f"{said}: {found}" if found else said


def _loads_weights(engine: dict[str, Any]) -> bool:
    weights = engine.get("weights")
    return bool(weights and weights["state"] == "loading" and engine["wanted"])


def describe_weights(weights: dict[str, Any]) -> str:
    """Return what is to be known of weights that are kept in GPU memory, in one line."""
    state, ready, ranks = weights["state"], weights["ranks_ready"], weights["ranks"]
    said = {
        "absent": "not in GPU memory",
        "loading": f"loading, {ready} of {ranks} complete",
        "ready": f"kept in GPU memory ({ranks} of {ranks}): a start maps them",
        "incomplete": f"{ready} of {ranks} kept: loaded anew at the next start",
        "ending": "given up now",
        "unresponsive": "not known: what keeps them does not answer, and may hold GPU memory",
    }.get(state, state)
    if weights["pid"]:
        said += f", process {weights['pid']} (its shim {weights['shim_pid']})"
    held = weights["kept"] and state != "absent"
    return f"{said}, kept although the engine is stopped" if held else said
