"""Every threshold and every name that a site may want otherwise, in one place. Pure.

`vllmd rules export` has an option for each; the files in `dashboards/` have the defaults.
"""

import json
from typing import Any

import attrs

from vllmd.errors import VllmdError
from vllmd.util.units import GIB, MIB

TTFT_BUCKETS_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
"""Source: vllm/v1/metrics/loggers.py, 0.20 to 0.33, and the recorded pages."""
ITL_BUCKETS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)


def setting(default: Any, text: str, kind: str) -> Any:
    """Make a field; `kind` is how the command line reads it."""
    return attrs.field(default=default, metadata={"help": text, "kind": kind})


@attrs.frozen
class RuleSettings:
    """What the rules are made with. Durations are Prometheus' (`30m`), sizes bytes."""

    job: str = setting("vllmd", "The job that scrapes vllmd, as Prometheus names it.", "text")
    severity_label: str = setting("severity", "The label that says how bad an alert is.", "label")
    runbooks: str = setting(
        "http://{{ $labels.instance }}/runbooks",
        "Where the runbooks are; by default at the vllmd that the alert is about.",
        "text",
    )
    ttft_s: float = setting(
        2.5, "A first token that takes longer counts against the budget.", "seconds"
    )
    ttft_target: float = setting(0.99, "Share of requests whose first token is in time.", "ratio")
    itl_s: float = setting(
        0.1, "A token that comes later after the one before counts against the budget.", "seconds"
    )
    itl_target: float = setting(0.99, "Share of tokens that are in time.", "ratio")
    queue_s: float = setting(10.0, "95 % of requests wait less long than this.", "seconds")
    not_ready: str = setting("30m", "A start may take so long before the alert fires.", "duration")
    restarts: int = setting(3, "More restarts than this within 30 minutes are a loop.", "count")
    errors_ratio: float = setting(0.01, "Share of requests that may fail.", "ratio")
    preemptions_ratio: float = setting(0.1, "Preemptions for each finished request.", "ratio")
    kv_ratio: float = setting(0.95, "Share of the KV cache from which it counts as full.", "ratio")
    orphan_bytes: int = setting(256 * MIB, "VRAM of a dead engine's process worth a page.", "bytes")
    foreign_bytes: int = setting(
        GIB, "VRAM of a process outside vllmd that is worth an alert.", "bytes"
    )
    leak_bytes: int = setting(GIB, "Growth of an engine beyond its largest batch.", "bytes")
    host_leak_bytes: int = setting(
        512 * MIB, "Growth of an engine's host memory within an hour, for hours.", "bytes"
    )
    disk_ratio: float = setting(0.05, "Share of a file system that stays free.", "ratio")
    disk_filling_ratio: float = setting(
        0.15, "With less of a file system free, it matters whether it fills up.", "ratio"
    )
    late_s: float = setting(1.0, "vllmd's event loop is late by less than this.", "seconds")

    def __attrs_post_init__(self) -> None:
        _in_buckets("--ttft", self.ttft_s, TTFT_BUCKETS_S)
        _in_buckets("--itl", self.itl_s, ITL_BUCKETS_S)


def _in_buckets(name: str, seconds: float, buckets: tuple[float, ...]) -> None:
    """Refuse what vLLM's histogram has no bound at.

    Raises: VllmdError: which bounds it has.
    """
    if seconds in buckets:
        return
    near = sorted(sorted(buckets, key=lambda bound: abs(bound - seconds))[:4])
    raise VllmdError(
        f"{name} {seconds:g}s: vLLM's histogram has no bound there, so what is slower cannot be "
        f"counted; take one of {', '.join(f'{bound:g}s' for bound in near)}"
    )


def le(seconds: float) -> str:
    """Return a matcher of the bound, however it is written: `1.0` by vLLM, `1` by others."""
    text = f"{seconds:g}"
    return f'le=~"{text}(\\\\.0)?"' if "." not in text else f'le="{text}"'


def quoted(text: str) -> str:
    """Return a string as PromQL and YAML have it; what is quoted as JSON is both."""
    return json.dumps(text, ensure_ascii=False)


def number(value: float) -> str:
    """Return a number as PromQL has it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
