"""What people see, the command that tells why, and where the fix is."""

from collections.abc import Iterator, Sequence

import attrs

from tools.reference.causes import names
from tools.reference.markdown import GENERATED, code, table
from vllmd.monitoring.alerts import every_alert

ABOUT = """\
# Troubleshoot, by symptom

`vllmd why` is the first command of all: it says what died, why, what was done about it and what
to do next, also when the daemon is down (`vllmd why --log FILE` of a vLLM that vllmd never saw).
`vllmd status` says what waits for whom. Below: what you see, what to type, and what it is then.
"""
END = """\
## Nothing of this

`vllmd bundle` puts into one archive what a bug report needs, without secrets, prompts, names and
addresses. Every [cause](reference/causes.md) and every [alert](reference/alerts.md) has its own
section, and the search finds the words that vLLM printed.
"""


@attrs.frozen
class Symptom:
    """One thing that people see."""

    seen: str
    command: str
    causes: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    """More to read: a title, and a page."""


def _at(title: str, page: str) -> tuple[tuple[str, str], ...]:
    return ((title, page),)


SYMPTOMS: dict[str, Sequence[Symptom]] = {
    "It does not start": (
        Symptom(
            "a command says that no vllmd answers",
            "systemctl status vllmd-daemon",
            pages=_at("the first run", "install.md#the-first-run"),
        ),
        Symptom(
            "`held`",
            "vllmd why chat",
            ("model_not_found", "unknown_flag", "program_missing"),
            ("VllmdEngineHeld",),
        ),
        Symptom(
            "held, and the configuration was fixed",
            "vllmd start chat --wait",
            pages=_at("after a failure", "supervision.md#after-a-failure"),
        ),
        Symptom(
            "`loading`, for ever",
            "vllmd logs chat -f",
            ("load_stalled", "hub_unreachable"),
            ("VllmdEngineLoadStalled", "VllmdEngineNotReady"),
        ),
        Symptom(
            "it waits for GPU memory",
            "vllmd gpu",
            ("vram_held",),
            ("VllmdEngineAwaitsMemory", "VllmdVramRestartWontFit"),
        ),
        Symptom(
            "a configuration is refused",
            "vllmd check",
            ("config_rejected",),
            ("VllmdConfigRefused",),
        ),
        Symptom(
            "a flag that this vLLM does not have",
            "vllmd engine flags --grep cache",
            ("unknown_flag",),
            pages=_at("flags, before the start", "engines.md#flags-before-the-start"),
        ),
        Symptom(
            "a model that is gated, or not found",
            "vllmd doctor chat",
            ("model_gated", "model_not_found"),
        ),
        Symptom(
            "a context that does not fit",
            "vllmd doctor chat",
            ("kv_cache_too_small", "context_too_long"),
            pages=_at("will it fit", "doctor.md#will-it-fit"),
        ),
        Symptom("the port is taken", "vllmd why chat", ("port_in_use",)),
    ),
    "It died": (
        Symptom(
            "an engine was restarted",
            "vllmd why chat",
            ("engine_core_died", "worker_died", "killed"),
            ("VllmdEngineDown",),
        ),
        Symptom(
            "it is restarted over and over",
            "vllmd events chat --since 1h",
            ("crashed", "engine_bug"),
            ("VllmdEngineRestartLoop",),
        ),
        Symptom(
            "CUDA out of memory",
            "vllmd why chat",
            ("cuda_out_of_memory",),
            ("VllmdVramExhaustion", "VllmdVramLeak"),
        ),
        Symptom(
            "the host ran out of memory",
            "vllmd why chat",
            ("host_out_of_memory",),
            ("VllmdHostMemoryLow",),
        ),
        Symptom(
            "a run that vllmd never saw",
            "vllmd why --log vllm.log --exit-code 1",
            pages=_at("an exit and its cause", "supervision.md#an-exit-and-its-cause"),
        ),
    ),
    "It hangs, or is slow": (
        Symptom(
            "`sleeping`, and it does not wake, or does not sleep",
            "vllmd status chat",
            ("wake_failed",),
            pages=_at("what cannot be had", "sleep.md#what-cannot-be-had"),
        ),
        Symptom(
            "the answers are garbage, and all else is well",
            "vllmd probe chat",
            ("wrong_answers",),
            ("VllmdWrongAnswers",),
            pages=_at("are the answers right?", "probe.md"),
        ),
        Symptom(
            "requests get no answer, `/health` says 200",
            "vllmd status chat",
            ("stalled",),
            ("VllmdEngineStalled",),
        ),
        Symptom(
            "the first token comes late",
            "vllmd traces",
            (),
            ("VllmdTtftBudgetBurn", "VllmdQueueSlow", "VllmdKvCacheSaturated"),
        ),
        Symptom(
            "tokens come slowly",
            "vllmd gpu",
            (),
            ("VllmdItlBudgetBurn", "VllmdPreemptions", "VllmdGpuThrottled"),
        ),
        Symptom(
            "requests fail or are refused",
            "vllmd logs chat --level error --since 1h",
            (),
            ("VllmdRequestErrors", "VllmdRejections"),
        ),
    ),
    "A GPU": (
        Symptom(
            "memory is gone, and nobody has it",
            "vllmd gpu",
            (),
            ("VllmdVramOrphan", "VllmdVramForeign"),
        ),
        Symptom("an orphan holds memory", "vllmd gpu reap", ("vram_held",), ("VllmdVramOrphan",)),
        Symptom(
            "the driver was upgraded", "vllmd gpu", ("driver_mismatch",), ("VllmdDriverMismatch",)
        ),
        Symptom(
            "an Xid, ECC errors, a GPU that is lost",
            "vllmd gpu",
            ("gpu_fault", "cuda_error"),
            ("VllmdGpuLost", "VllmdGpuXidFatal", "VllmdGpuEccUncorrected"),
        ),
        Symptom("no figures of the GPUs", "vllmd gpu", ("no_gpu",), ("VllmdGpuReaderDown",)),
        Symptom(
            "a reset is needed",
            "vllmd gpu release --for 5m",
            (),
            ("VllmdGpuRecoveryAction",),
            _at("health", "gpu.md#health"),
        ),
    ),
    "Adapters, clients, costs": (
        Symptom(
            "an adapter is not loaded",
            "vllmd lora list",
            ("lora_unusable", "lora_rank"),
            ("VllmdAdapterNotLoaded",),
        ),
        Symptom(
            "no latencies by adapter",
            "vllmd traces",
            (),
            ("VllmdOtlpDropped",),
            _at("traces", "traces.md"),
        ),
        Symptom(
            "it costs more than it should", "vllmd cost --since 7d", (), ("VllmdCostAboveBudget",)
        ),
    ),
    "Prometheus, disks, vllmd itself": (
        Symptom(
            "a target is down, dashboards are empty",
            "curl -s localhost:9840/-/healthy",
            (),
            ("VllmdDown", "VllmdPageUnread", "VllmdMetricsDrift"),
        ),
        Symptom(
            "an alert came",
            "vllmd runbook VllmdEngineStalled",
            (),
            (),
            _at("all alerts", "reference/alerts.md"),
        ),
        Symptom(
            "a disk is full", "vllmd status", ("disk_full",), ("VllmdDiskFull", "VllmdLogsDropped")
        ),
        Symptom("a disk or a file server hangs", "vllmd status", (), ("VllmdDiskStalled",)),
        Symptom("no notice came", "vllmd events --since 1h", (), ("VllmdNotificationsFailed",)),
        Symptom(
            "the daemon was restarted, or a part of it",
            "vllmd status",
            (),
            ("VllmdDaemonFailed", "VllmdPartFailed"),
        ),
        Symptom(
            "a command is not permitted",
            "id -nG",
            (),
            (),
            _at("who can reach what", "security.md#who-can-reach-what"),
        ),
    ),
}


def symptoms() -> str:
    """Return the page.

    Raises: LookupError: a symptom names a cause or an alert that there is not.
    """
    parts = [GENERATED, ABOUT.strip()]
    for title, rows in SYMPTOMS.items():
        parts.append(f"## {title}")
        parts.append(table(["what you see", "type", "what it is"], map(_row, rows)))
    return "\n\n".join([*parts, END])


def _row(symptom: Symptom) -> list[str]:
    return [symptom.seen, code(symptom.command), " · ".join(_links(symptom))]


def _links(symptom: Symptom) -> Iterator[str]:
    alerts = {alert.name for alert in every_alert()}
    for cause in symptom.causes:
        if cause not in names():
            raise LookupError(f"{symptom.seen}: no cause {cause}")
        yield f"[`{cause}`](reference/causes.md#{cause})"
    for alert in symptom.alerts:
        if alert not in alerts:
            raise LookupError(f"{symptom.seen}: no alert {alert}")
        yield f"[{alert}](runbooks/{alert}.md)"
    for title, page in symptom.pages:
        yield f"[{title}]({page})"
