"""The document as the exporter's port answers it: without what only this host may see. Pure.

Left out is what an engine printed, which may hold a prompt; what names processes, files and other
hosts; and every sentence that quotes a configuration or an exception. Advice that names a path is
that of the cause's table.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vllmd.engine.causes import BY_NAME

LOCAL_ENGINE = frozenset(
    {"pid", "shim_pid", "run_id", "log", "command_hash", "printing", "log_problem"}
)
LOCAL_GROUP = frozenset(
    {
        *("hosts", "name", "generation", "red", "doubt", "waits_for", "awaited"),
        *("failed_host", "failure", "differences", "silent", "refused"),
    }
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
    engines = [_engine(each) for each in document["engines"]]
    return {
        **document,
        "daemon": _daemon(document["daemon"]),
        "engines": engines,
        "conditions": [*_conditions(document, engines)],
        "filesystems": [_without(each, {"folder"}) for each in document["filesystems"]],
    }


def _conditions(
    document: Mapping[str, Any], engines: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield what needs attention, with the reasons as they are told of these `engines`."""
    told = {
        engine["name"]: (engine["reason"], shown["reason"])
        for engine, shown in zip(document["engines"], engines, strict=True)
    }
    for each in document["conditions"]:
        reason, shown = told.get(each["engine"], (None, None))
        text = each["text"].replace(reason, shown) if reason and shown else each["text"]
        yield {**each, "text": text}


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
    hold, hosts = engine["hold"], _hosts(engine["group"])
    doubts = [_doubt(doubt, hosts) for doubt in engine["doubts"]]
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
        "reason": _without_hosts(reason, hosts),
        "hold": hold and _hold(hold, hosts),
        "last_exit": _exit(engine["last_exit"], hosts),
        "first_failure": _exit(engine["first_failure"], hosts),
        "doubts": doubts,
    }


def _hosts(group: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names of the other hosts of an engine: nobody else need know them."""
    return frozenset(group["hosts"]) if group else frozenset()


def _without_hosts(text: str | None, hosts: frozenset[str]) -> str | None:
    """Return a sentence up to the part that names another host; hidden if that is its first."""
    if text is None or not any(host in text for host in hosts):
        return text
    first = text.partition(":")[0]
    return HIDDEN if any(host in first for host in hosts) else first


def _hold(hold: Mapping[str, Any], hosts: frozenset[str]) -> dict[str, Any]:
    shown = _without(hold, {"command_hash", "surroundings"})
    return {**shown, "reason": _without_hosts(hold["reason"], hosts)}


def _doubt(doubt: Mapping[str, Any], hosts: frozenset[str]) -> dict[str, Any]:
    shown, told = _without(doubt, {"evidence"}), f"{doubt['found']} {doubt['fix']}"
    if _may_hold_path(told) or any(host in told for host in hosts):
        shown["found"] = f"the check {doubt['check']} found something"
        shown["fix"] = "'vllmd status' on the host says what."
    return shown


def _may_hold_path(text: str) -> bool:
    return "/" in text


def _exit(end: Mapping[str, Any] | None, hosts: frozenset[str]) -> dict[str, Any] | None:
    if end is None:
        return None
    why = end["diagnosis"]
    return {
        **_without(end, LOCAL_EXIT),
        "text": _without_hosts(end["text"], hosts),
        "diagnosis": why and _diagnosis(why, hosts),
    }


def _diagnosis(why: Mapping[str, Any], hosts: frozenset[str]) -> dict[str, Any]:
    shown = _without(why, {"evidence"})
    shown["explanation"] = _without_hosts(why["explanation"], hosts)
    if _may_hold_path(why["advice"]) or any(host in why["advice"] for host in hosts):
        cause = BY_NAME.get(why["cause"])
        shown["advice"] = cause.advice if cause else HIDDEN
    return shown
