"""Whose is the GPUs' memory, does it grow, and would an engine fit again?"""

from collections.abc import Iterator

from vllmd.monitoring.expressions import ON_ENGINE, WANTED, keeps_rising, last, rise
from vllmd.monitoring.rules import ENGINE, GPU, WHY, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings

SIZE = "{{ $value | humanize1024 }}B"
OF_ENGINE = 'vllmd_gpu_memory_by_owner_bytes{owner="engine", vllmd_engine!=""}'
MARGIN = last("vllmd_gpu_memory_restart_margin_bytes")
GROWTH = "vllmd_engine_gpu_memory_growth_bytes"
TO_THE_END = 8
"""Half hours that are left to a person: four hours."""


def _owned(owner: str) -> str:
    return f'vllmd_gpu_memory_by_owner_bytes{{owner="{owner}"}}'


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of GPU memory. How full it is says nothing: vLLM takes its share."""
    return RuleGroup(
        "vllmd-vram",
        "Whose is the GPUs' memory, does it grow, and would an engine fit again?",
        [*_others(settings), *_room(), *_growth(settings)],
    )


def _others(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdVramOrphan",
        AlertSeverity.CRITICAL,
        f"{last(_owned('orphan'))} > {settings.orphan_bytes}",
        f"{GPU}: a dead engine's process holds {SIZE}",
        "The next start fails for want of memory. 'vllmd gpu' names the process.",
        "vllmd gpu reap",
        wait="2m",
    )
    yield Alert(
        "VllmdVramForeign",
        AlertSeverity.WARNING,
        # only where an engine is, or is wanted: other GPUs are other people's
        f"""
        {last(_owned("foreign"))} > {settings.foreign_bytes}
          and on (instance, uuid) (
            ({MARGIN} and {WANTED})
              or {last(_owned("engine"))} > 0
          )
        """,
        f"{GPU}: a process outside vllmd holds {SIZE}",
        "An engine that restarts may not find room. vllmd names the process, and never kills it.",
        "vllmd gpu",
        wait="10m",
    )


def _room() -> Iterator[Alert]:
    on_its_way = 'vllmd_engine_state{state=~"starting|loading|ready|sleeping"}'
    yield Alert(
        "VllmdEngineAwaitsMemory",
        AlertSeverity.CRITICAL,
        # the series ends with the wait, and is seen for some minutes more: the state is newer
        f"""
        {last("vllmd_engine_awaited_memory_bytes")} > 0
          and {WANTED}
          unless {ON_ENGINE} {last(on_its_way)} == 1
        """,
        f"{ENGINE} waits for {SIZE} more on GPU {{{{ $labels.gpu }}}}",
        "It is down until there is room. Most is held by {{ $labels.holder }}; vllmd kills nobody "
        "for it. 'vllmd start' starts it all the same.",
        "vllmd gpu",
        wait="2m",
    )
    yield Alert(
        "VllmdVramRestartWontFit",
        AlertSeverity.WARNING,
        # one that does not serve has nothing to lose: one that waits for room has its own
        f"""
        -1 * {MARGIN} > 0
          and {ON_ENGINE} {last("vllmd_engine_up")} == 1
        """,
        f"{ENGINE} serves, but would not start again on GPU {{{{ $labels.gpu }}}}: {SIZE} too few",
        "Do not restart it before there is room. vllmd shows who has the memory.",
        "vllmd gpu",
        wait="10m",
    )


def _growth(settings: RuleSettings) -> Iterator[Alert]:
    """What an engine holds on one GPU; a step, as by a new kind of batch, is no leak."""
    slope = settings.leak_bytes // 16
    yield Alert(
        "VllmdVramLeak",
        AlertSeverity.WARNING,
        f"""
        (
          max by (instance, vllmd_engine) (
            {keeps_rising(OF_ENGINE, slope, 30, 3)}
          )
            or max by (instance, vllmd_engine) (
              {keeps_rising(GROWTH, slope, 30, 3)}
            )
        )
          and {ON_ENGINE} min_over_time({GROWTH}[30m]) > {settings.leak_bytes}
        """,
        f"{ENGINE} took {SIZE} more of a GPU in half an hour, and did before",
        "It is beyond its largest batch, and still grows. vLLM takes its memory at the start and "
        "with its first full batches. In a quiet hour 'vllmd restart', which drains first.",
        WHY,
        wait="5m",
    )
    free = "on (instance, uuid) group_left () min_over_time(vllmd_gpu_memory_free_bytes[5m])"
    yield Alert(
        "VllmdVramExhaustion",
        AlertSeverity.CRITICAL,
        # its own growth: a new engine beside it, or somebody's notebook, is no trend of its own
        f"""
        max by (instance, vllmd_engine, gpu, uuid) (
          {TO_THE_END} * {rise(OF_ENGINE, 30)} > {free}
            and {TO_THE_END} * {rise(OF_ENGINE, 30, 30)} > {free}
            and {last(OF_ENGINE)}
        )
          and {ON_ENGINE} min_over_time({GROWTH}[30m]) > {settings.leak_bytes // 4}
        """,
        f"{ENGINE} fills GPU {{{{ $labels.gpu }}}} within four hours",
        "It grows, and ends with CUDA out of memory unless it is restarted before: 'vllmd "
        "restart' drains it first.",
        WHY,
        wait="5m",
    )
