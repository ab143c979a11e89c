"""The conditions behind the alerts that the daemon's own state can tell. Pure.

An alert is an expression over what Prometheus keeps, and waits until it has held for some minutes;
a condition is what of it is true in one document now. Names, severities and thresholds are those
of `monitoring`: a test holds that each alert is either here or among `NOT_TOLD`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.rules import AlertSeverity
from vllmd.status.document import LOST
from vllmd.status.engine_conditions import (
    ENGINE_CONDITIONS,
    SETTINGS,
    ActiveCondition,
    Document,
    Test,
)
from vllmd.util.units import MINUTE_S, format_bytes, format_duration

FATAL_XID_S = 15 * MINUTE_S
"""For so long the alert of a fatal Xid fires; after that the one of an Xid that is not cleared."""
OWN_REASON = frozenset({"released", "driver_mismatch"})
"""GPUs are not read because a person let go of them, or for what has its own condition."""
NO_GPU = "disabled"
LATE = LOST["not_read"]
"""A GPU of which there is no new reading: a matter of the reader, not of the GPU."""
FEW_FAILURES = 2
"""A part that failed no more often is tried again; the alert too waits for a third."""

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


# --- GPUs ------------------------------------------------------------------------------------


def _are_read(document: Document) -> bool:
    """Tell whether NVML answers: else one GPU is like the other."""
    late = any(gpu["lost"] == LATE for gpu in document["gpus"])
    return document["gpu_reader"]["reason"] is None and not late


def _gpu_lost(document: Document) -> Iterator[ActiveCondition]:
    for gpu in document["gpus"]:
        if gpu["lost"] and _are_read(document):
            text = f"GPU {gpu['gpu']} does not answer: {gpu['lost']}"
            if gpu["lost_since"] is not None:
                text += f", for {format_duration(document['at'] - gpu['lost_since'])}"
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
    **ENGINE_CONDITIONS,
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
    "VllmdDiskFull": _disk,
    "VllmdDiskStalled": _disk_stalled,
    "VllmdHistoryDropped": _history,
    "VllmdConfigRefused": _config,
    "VllmdPartFailed": _parts,
    "VllmdLate": _late,
}
"""By the name of the alert, in the order in which a person would look."""
