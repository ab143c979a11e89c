"""The document as the exporter's port answers it: without what only this host may see. Pure.

Left out is what an engine printed, which may hold a prompt; what names processes and files; and
every sentence that quotes a configuration or an exception. Advice that names a path is that of the
cause's table.
"""

from collections.abc import Mapping
from typing import Any

from vllmd.engine.causes import BY_NAME

LOCAL_ENGINE = frozenset(
    {"pid", "shim_pid", "run_id", "log", "command_hash", "printing", "log_problem"}
)
LOCAL_GROUP = frozenset(
    {"hosts", "generation", "red", "waits_for", "failed_host", "failure", "differences"}
)
LOCAL_SLEEP = frozenset({"by", "wanted_by"})
LOCAL_PROBE = frozenset({"recorded_by"})
LOCAL_WEIGHTS = frozenset({"pid", "shim_pid", "run_id", "log"})
LOCAL_EXIT = frozenset({"run_id", "killed", "error", "incident"})
LOCAL_DAEMON = frozenset({"pid", "config", "listen", "exporter", "web_config", "run_dir"})
PROBLEMS = ("problem", "web_config_problem", "traces_problem", "disk_problem", "history_problem")
HIDDEN = "not told here: 'vllmd status' on the host says it"
"""In place of a sentence that quotes something."""


def for_network(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without the fields that are marked `local` in the schema."""
    return {
        **document,
        "daemon": _daemon(document["daemon"]),
        "engines": [_engine(each) for each in document["engines"]],
        "filesystems": [_without(each, {"folder"}) for each in document["filesystems"]],
    }


def _without(record: Mapping[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in names}


def _hidden(text: str | None) -> str | None:
    return HIDDEN if text else None


def _daemon(daemon: Mapping[str, Any]) -> dict[str, Any]:
    shown = _without(daemon, LOCAL_DAEMON)
    for key in PROBLEMS:
        shown[key] = _hidden(daemon.get(key))
    shown["unconfigured"] = dict.fromkeys(daemon["unconfigured"])
    shown["failing"] = [{**part, "problem": HIDDEN} for part in daemon["failing"]]
    return shown


def _weights(weights: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    return {**_without(weights, LOCAL_WEIGHTS), "problem": _hidden(weights["problem"])}


def _sleep(sleep: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if sleep is None:
        return None
    return {**_without(sleep, LOCAL_SLEEP), "refused": _hidden(sleep["refused"])}


def _engine(engine: Mapping[str, Any]) -> dict[str, Any]:
    hold = engine["hold"]
    doubts = [_doubt(doubt) for doubt in engine["doubts"]]
    reason = engine["reason"]
    for doubt, shown in zip(engine["doubts"], doubts, strict=True):
        if reason and doubt["found"] != shown["found"]:
            reason = reason.replace(doubt["found"].rstrip("."), shown["found"])
    return {
        **_without(engine, LOCAL_ENGINE),
        "problem": _hidden(engine["problem"]),
        "weights": _weights(engine["weights"]),
        "group": engine["group"] and _without(engine["group"], LOCAL_GROUP),
        "sleep": _sleep(engine["sleep"]),
        "probe": engine["probe"] and _without(engine["probe"], LOCAL_PROBE),
        "reason": reason,
        "hold": hold and _without(hold, {"command_hash", "surroundings"}),
        "last_exit": _exit(engine["last_exit"]),
        "first_failure": _exit(engine["first_failure"]),
        "doubts": doubts,
    }


def _doubt(doubt: Mapping[str, Any]) -> dict[str, Any]:
    shown = _without(doubt, {"evidence"})
    if _may_hold_path(f"{doubt['found']} {doubt['fix']}"):
        shown["found"] = f"the check {doubt['check']} found something"
        shown["fix"] = "'vllmd status' on the host says what."
    return shown


def _may_hold_path(text: str) -> bool:
    return "/" in text


def _exit(end: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if end is None:
        return None
    why = end["diagnosis"]
    return {**_without(end, LOCAL_EXIT), "diagnosis": why and _diagnosis(why)}


def _diagnosis(why: Mapping[str, Any]) -> dict[str, Any]:
    shown = _without(why, {"evidence"})
    if _may_hold_path(why["advice"]):
        cause = BY_NAME.get(why["cause"])
        shown["advice"] = cause.advice if cause else HIDDEN
    return shown
