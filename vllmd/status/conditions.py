"""The conditions behind the alerts that the daemon's own state can tell. Pure.

An alert is an expression over what Prometheus keeps, and waits until it has held for some minutes;
a condition is what of it is true in one document now. Names, severities and thresholds are those
of `monitoring`: a test holds that each alert is either here or among `NOT_TOLD`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.engine.causes import BY_NAME
from vllmd.engine.state_machine import State
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.rules import AlertSeverity
from vllmd.monitoring.settings import RuleSettings
from vllmd.status.document import LOST
from vllmd.status.reasons import some_of
from vllmd.util.units import MINUTE_S, format_bytes, format_duration

Document = Mapping[str, Any]
LOAD_STALLED = BY_NAME["load_stalled"]
FATAL_XID_S = 15 * MINUTE_S
"""For so long the alert of a fatal Xid fires; after that the one of an Xid that is not cleared."""
STARTED = frozenset(State) - {State.STOPPED, State.UNREACHABLE, State.BACKOFF, State.WAITING}
"""States of an engine that is there, or on its way, or has a condition of its own."""
ON_ITS_WAY = frozenset({State.STARTING, State.LOADING, State.READY, State.SLEEPING})
"""States of an engine that waits for no memory any more."""
BETWEEN_RUNS_S = 2 * MINUTE_S
"""How long the alert waits: a restart is `stopped` for a moment, which is no outage by itself."""
OWN_REASON = frozenset({"released", "driver_mismatch"})
"""GPUs are not read because a person let go of them, or for what has its own condition."""
NO_GPU = "disabled"
LATE = LOST["not_read"]
"""A GPU of which there is no new reading: a matter of the reader, not of the GPU."""
FEW_FAILURES = 2
"""A part that failed no more often is tried again; the alert too waits for a third."""

SETTINGS = RuleSettings()
SEVERITIES: Mapping[str, AlertSeverity] = {a.name: a.severity for a in every_alert(SETTINGS)}
ORDER = {severity: place for place, severity in enumerate(AlertSeverity)}

NOT_TOLD: Mapping[str, str] = {
    **dict.fromkeys(
        ("VllmdDown", "VllmdAbsent", "VllmdWatchdog"), "of a daemon that cannot be asked"
    ),
    **dict.fromkeys(
        (
            *("VllmdEngineRestartLoop", "VllmdEngineNotReady", "VllmdGpuMissing"),
            *("VllmdGpuXidRestart", "VllmdGpuEccUncorrected", "VllmdGpuThrottled"),
            *("VllmdGpuPcieDegraded", "VllmdHostMemoryLeak", "VllmdDiskFilling"),
            *("VllmdVramLeak", "VllmdVramExhaustion"),
            *("VllmdTtftBudgetBurn", "VllmdTtftBudgetSlowBurn"),
            *("VllmdItlBudgetBurn", "VllmdItlBudgetSlowBurn"),
            *("VllmdQueueSlow", "VllmdQueueStuck", "VllmdPreemptions"),
            *("VllmdRequestErrors", "VllmdHttpErrors", "VllmdRequestsLost", "VllmdRejections"),
            *("VllmdCostAboveBudget", "VllmdOtlpDropped", "VllmdNotificationsFailed"),
            "VllmdConnectionsFull",
            "VllmdDaemonFailed",
        ),
        "a change over minutes or hours, which Prometheus keeps",
    ),
    **dict.fromkeys(
        ("VllmdReplicasNone", "VllmdReplicasLow", "VllmdVersionsDiffer"),
        "of several hosts: 'vllmd fleet status' shows it",
    ),
    "VllmdMetricsDrift": "pages are compared with what is expected where Prometheus asks: /metrics",
    "VllmdAdapterStale": "files are compared with what is loaded: 'vllmd lora list' shows it",
    "VllmdCollectorFailed": "collectors work when Prometheus asks: /metrics says which failed",
}
"""Alerts without a condition, and why."""


@attrs.frozen
class ActiveCondition:
    """One thing that is true now: of an engine, of a GPU, or of the host."""

    text: str
    engine: str | None = None
    gpu: str | None = None


Test = Callable[[Document], Iterator[ActiveCondition]]


def not_told(room: str) -> dict[str, Any]:
    """Return the condition of what the document lacks after a mistake of vllmd."""
    name = "VllmdPartFailed"
    return {
        "alert": name,
        "severity": str(SEVERITIES[name]),
        "engine": None,
        "gpu": None,
        "text": f"what vllmd knows of {room} cannot be told: a mistake of its own",
        "runbook": f"/runbooks/{name}",
    }


def conditions(document: Document) -> list[dict[str, Any]]:
    """Return what is true of a document, the worst first."""
    found = [
        {
            "alert": name,
            "severity": str(SEVERITIES[name]),
            "engine": each.engine,
            "gpu": each.gpu,
            "text": each.text,
            "runbook": f"/runbooks/{name}{f'?engine={each.engine}' if each.engine else ''}",
        }
        for name, test in CONDITIONS.items()
        for each in test(document)
    ]
    return sorted(found, key=lambda each: ORDER[AlertSeverity(each["severity"])])


# --- engines ---------------------------------------------------------------------------------


def _engines(document: Document, wanted: bool = True) -> Iterator[Mapping[str, Any]]:
    for engine in document["engines"]:
        if engine["looked_for"] and (engine["wanted"] or not wanted):
            yield engine


def _down(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        turn = (engine["sleep"] or {}).get("turn_of")
        waits = engine["awaited_memory"] or engine["awaited_load"] or turn or _awaited(engine)
        for_s = document["at"] - engine["since"]
        between_runs = engine["state"] == State.STOPPED and for_s < BETWEEN_RUNS_S
        if engine["state"] not in STARTED and not waits and not between_runs:
            why = f": {engine['reason']}" if engine["reason"] else ""
            yield ActiveCondition(f"{engine['name']} is down{why}", engine["name"])


def _awaited(engine: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the host of its group that an engine waits for."""
    found: Mapping[str, Any] | None = (engine["group"] or {}).get("awaited")
    return found


def _group(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        of = _awaited(engine)
        if of is None or of["state"] == State.STOPPED:
            continue
        # a head that answers tells it itself
        if engine["group"]["role"] == "head" or of["state"] == "unreachable":
            text = f"{engine['name']} does not serve: its group lacks {of['host']}"
            yield ActiveCondition(f"{text} ({of['state']})", engine["name"])


def _held(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        if engine["state"] == State.HELD:
            yield ActiveCondition(f"{engine['name']} is held: {engine['reason']}", engine["name"])


def _of_engine(text: str, holds: Callable[[Mapping[str, Any]], object]) -> Test:
    """Return the test of engines of which something `holds`; `text` has a place for the name."""

    def test(document: Document) -> Iterator[ActiveCondition]:
        for engine in _engines(document, wanted=False):
            if holds(engine):
                yield ActiveCondition(text.format(engine["name"]), engine["name"])

    return test


def _weights(engine: Mapping[str, Any]) -> Any:
    return (engine["weights"] or {}).get("state")


def _load_stalled(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        why = (engine["last_exit"] or {}).get("diagnosis")
        if not engine["up"] and why and why["cause"] == LOAD_STALLED.name:
            text = f"{engine['name']} stopped in the middle of its last load, and does not serve"
            yield ActiveCondition(text, engine["name"])


def _awaits_memory(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        if engine["awaited_memory"] and engine["state"] not in ON_ITS_WAY:
            gpu = engine["awaited_memory"]["gpu"]
            yield ActiveCondition(f"{engine['name']} {engine['reason']}", engine["name"], gpu)


def _adapters(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document, wanted=False):
        missing = engine["up"] and engine["adapters"] and engine["adapters"]["missing"]
        if missing:
            of = f"{len(missing)} of {engine['adapters']['wanted']} adapters"
            text = f"{engine['name']} serves without {of}: {some_of(missing)}"
            yield ActiveCondition(text, engine["name"])


def _kv_cache(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document, wanted=False):
        usage = engine["kv_cache_usage"]
        if usage is not None and usage > SETTINGS.kv_ratio and engine["requests_waiting"]:
            text = f"{engine['name']}: the KV cache is {usage:.0%} full, and requests wait for it"
            yield ActiveCondition(text, engine["name"])


def _log_dropped(document: Document) -> Iterator[ActiveCondition]:
    for engine in document["engines"]:
        if engine["log_problem"]:
            text = f"the disk does not take the log of {engine['name']}"
            yield ActiveCondition(text, engine["name"])


# --- GPUs ------------------------------------------------------------------------------------


def _are_read(document: Document) -> bool:
    """Tell whether NVML answers: else one GPU is like the other."""
    late = any(gpu["lost"] == LATE for gpu in document["gpus"])
    return document["gpu_reader"]["reason"] is None and not late


def _gpu_lost(document: Document) -> Iterator[ActiveCondition]:
    for gpu in document["gpus"]:
        if gpu["lost"] and _are_read(document):
            text = f"GPU {gpu['gpu']} does not answer: {gpu['lost']}"
            yield ActiveCondition(text, gpu=gpu["gpu"])


def _lasting_xids(document: Document) -> Iterator[tuple[Any, float, ActiveCondition]]:
    """Yield the GPU of each, how long ago it was in seconds, and what to say."""
    for gpu in document["gpus"]:
        for seen in gpu["xids"]:
            if seen["action"] in ("reset", "reboot"):
                ago_s = max(0.0, document["at"] - seen["last_at"])
                ago = format_duration(ago_s)
                text = f"GPU {gpu['gpu']}: Xid {seen['xid']} {ago} ago asks for a {seen['action']}"
                yield gpu, ago_s, ActiveCondition(f"{text}: {seen['text']}", gpu=gpu["gpu"])


def _xid(document: Document) -> Iterator[ActiveCondition]:
    yield from (found for _, ago_s, found in _lasting_xids(document) if ago_s < FATAL_XID_S)


def _xid_not_cleared(document: Document) -> Iterator[ActiveCondition]:
    for gpu, ago_s, found in _lasting_xids(document):
        if ago_s >= FATAL_XID_S and gpu["recovery_action"] != 0:
            yield found


def _of_gpu(key: str, text: str) -> Test:
    """Return the test of a figure that is to be nothing; `text` takes it as `{0}`."""

    def test(document: Document) -> Iterator[ActiveCondition]:
        for gpu in document["gpus"]:
            if gpu[key]:
                yield ActiveCondition(f"GPU {gpu['gpu']}: {text.format(gpu[key])}", gpu=gpu["gpu"])

    return test


def _host_memory(document: Document) -> Iterator[ActiveCondition]:
    for gpu in document["gpus"]:
        floor, free = gpu["memory_floor_bytes"], gpu["memory_free_bytes"]
        if floor is not None and free is not None and free < 1.5 * floor:
            text = f"GPU {gpu['gpu']} shares the host's memory, of which {format_bytes(free)}"
            yield ActiveCondition(f"{text} are left", gpu=gpu["gpu"])


def _driver(document: Document) -> Iterator[ActiveCondition]:
    if mismatch := document["gpu_reader"]["driver_mismatch"]:
        yield ActiveCondition(str(mismatch).rstrip("."))


def _reader(document: Document) -> Iterator[ActiveCondition]:
    reader = document["gpu_reader"]
    if reader["reason"] not in (None, NO_GPU, "starting", *OWN_REASON):
        yield ActiveCondition(f"GPUs are not read: {reader['problem']}")
    elif reader["reason"] is None and not _are_read(document):
        yield ActiveCondition("GPUs are not read: the newest reading is old")


def _held_by(owner: str, least: int, text: str, *, ours: bool = False) -> Test:
    """Return the test of memory that an owner has; `ours`: where an engine is, or is wanted."""

    def test(document: Document) -> Iterator[ActiveCondition]:
        wanted = {engine["name"] for engine in document["engines"] if engine["wanted"]}
        for gpu in document["gpus"]:
            held = sum(each["bytes"] for each in gpu["owners"] if each["owner"] == owner)
            engines = {each["engine"] for each in gpu["owners"] if each["engine"]}
            if held > least and (not ours or engines or wanted & set(gpu["restart_margin_bytes"])):
                said = f"GPU {gpu['gpu']}: {text} {format_bytes(held)}"
                yield ActiveCondition(said, gpu=gpu["gpu"])

    return test


def _wont_fit(document: Document) -> Iterator[ActiveCondition]:
    serving = {engine["name"] for engine in document["engines"] if engine["up"]}
    for gpu in document["gpus"]:
        for name, margin in gpu["restart_margin_bytes"].items():
            if margin < 0 and name in serving:
                missing = format_bytes(-margin)
                text = f"{name} would not start again on GPU {gpu['gpu']}: {missing} too few"
                yield ActiveCondition(text, name, gpu["gpu"])


# --- the host --------------------------------------------------------------------------------


def _disk(document: Document) -> Iterator[ActiveCondition]:
    for each in document["filesystems"]:
        if each["low"]:
            free = f"{format_bytes(each['avail_bytes'])} of {format_bytes(each['size_bytes'])}"
            text = f"the disk with vllmd's {each['role']} is nearly full: {free} are free"
            yield ActiveCondition(text)


def _disk_stalled(document: Document) -> Iterator[ActiveCondition]:
    if document["daemon"]["disk_problem"]:
        yield ActiveCondition(
            "a file system that vllmd writes to does not answer: 'vllmd status' says which"
        )


def _history(document: Document) -> Iterator[ActiveCondition]:
    if document["daemon"]["history_problem"]:
        yield ActiveCondition("events are not written down: 'vllmd why' misses what happens now")


def _config(document: Document) -> Iterator[ActiveCondition]:
    daemon = document["daemon"]
    if daemon["problem"]:
        yield ActiveCondition("the configuration cannot be used: 'vllmd check' says why")
    if daemon["web_config_problem"]:
        yield ActiveCondition("the web configuration cannot be used: 'vllmd status' says why")


def _late(document: Document) -> Iterator[ActiveCondition]:
    if (late_s := document["daemon"]["late_s"]) > SETTINGS.late_s:
        yield ActiveCondition(f"vllmd comes {late_s:.1f} s late to what it has to do")


def _parts(document: Document) -> Iterator[ActiveCondition]:
    for part in document["daemon"]["failing"]:
        if part["failures"] <= FEW_FAILURES:
            continue
        yield ActiveCondition(f"the part {part['part']} of vllmd keeps failing")


CONDITIONS: Mapping[str, Test] = {
    "VllmdEngineHeld": _held,
    "VllmdEngineStalled": _of_engine(
        "{} has work and makes no progress", lambda engine: engine["state"] == State.STALLED
    ),
    "VllmdWrongAnswers": _of_engine(
        "{} gives wrong answers: see 'vllmd probe'",
        lambda engine: engine["up"] and (engine["probe"] or {}).get("verdict") == "wrong",
    ),
    "VllmdEngineAwaitsMemory": _awaits_memory,
    "VllmdEngineLoadStalled": _load_stalled,
    "VllmdEngineDown": _down,
    "VllmdGroupIncomplete": _group,
    "VllmdWeightsLost": _of_engine(
        "{} serves, and its weights are kept no more",
        lambda engine: (
            engine["up"]
            and not engine["command_changed"]
            and _weights(engine) in ("absent", "incomplete")
        ),
    ),
    "VllmdWeightsUnresponsive": _of_engine(
        "what keeps the weights of {} does not answer",
        lambda engine: _weights(engine) == "unresponsive",
    ),
    "VllmdGpuLost": _gpu_lost,
    "VllmdGpuXidFatal": _xid,
    "VllmdGpuRecoveryAction": _of_gpu("recovery_action", "the driver asks for recovery action {0}"),
    "VllmdGpuXidNotCleared": _xid_not_cleared,
    "VllmdGpuEccNotCleared": _of_gpu(
        "ecc_uncorrected", "{0} uncorrected ECC errors since the driver was loaded"
    ),
    "VllmdGpuRowRemapFailed": _of_gpu("row_remap_failed", "bad memory, and no spare rows are left"),
    "VllmdGpuRowRemapPending": _of_gpu(
        "row_remap_pending", "rows of its memory are replaced at its next reset"
    ),
    "VllmdHostMemoryLow": _host_memory,
    "VllmdDriverMismatch": _driver,
    "VllmdGpuReaderDown": _reader,
    "VllmdVramOrphan": _held_by(
        "orphan", SETTINGS.orphan_bytes, "a process of an engine that is gone holds"
    ),
    "VllmdVramForeign": _held_by(
        "foreign", SETTINGS.foreign_bytes, "a process outside vllmd holds", ours=True
    ),
    "VllmdVramRestartWontFit": _wont_fit,
    "VllmdKvCacheSaturated": _kv_cache,
    "VllmdAdapterNotLoaded": _adapters,
    "VllmdPageUnread": _of_engine(
        "{} serves, but its metrics cannot be read",
        lambda engine: engine["up"] and engine["page_up"] is False,
    ),
    "VllmdDiskFull": _disk,
    "VllmdDiskStalled": _disk_stalled,
    "VllmdLogsDropped": _log_dropped,
    "VllmdHistoryDropped": _history,
    "VllmdConfigRefused": _config,
    "VllmdPartFailed": _parts,
    "VllmdLate": _late,
}
"""By the name of the alert, in the order in which a person would look."""
