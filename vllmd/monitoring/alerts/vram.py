"""Whose is the GPUs' memory, does it grow, and would an engine fit again?"""

from vllmd.monitoring.rules import ENGINE, GPU, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings

SIZE = "{{ $value | humanize1024 }}B"


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of GPU memory. How full it is says nothing: vLLM takes its share."""
    return RuleGroup(
        "vllmd-vram",
        "Whose is the GPUs' memory, does it grow, and would an engine fit again?",
        [
            Alert(
                "VllmdVramOrphan",
                AlertSeverity.CRITICAL,
                f"""
                vllmd_gpu_memory_by_owner_bytes{{owner="orphan"}} > {settings.orphan_bytes}
                """,
                f"{GPU}: a dead engine's process holds {SIZE}",
                "The next start fails for want of memory. 'vllmd gpu' names the process, "
                "'vllmd gpu reap' ends it.",
                wait="2m",
            ),
            Alert(
                "VllmdVramForeign",
                AlertSeverity.WARNING,
                # only where an engine is, or is to be: other GPUs are other people's
                f"""
                vllmd_gpu_memory_by_owner_bytes{{owner="foreign"}} > {settings.foreign_bytes}
                  and on (instance, uuid) (
                    vllmd_gpu_memory_restart_margin_bytes
                      or vllmd_gpu_memory_by_owner_bytes{{owner="engine"}} > 0
                  )
                """,
                f"{GPU}: a process outside vllmd holds {SIZE}",
                "An engine that restarts may not find room. 'vllmd gpu' names the process; vllmd "
                "never kills it.",
                wait="10m",
            ),
            Alert(
                "VllmdEngineAwaitsMemory",
                AlertSeverity.CRITICAL,
                """
                vllmd_engine_awaited_memory_bytes > 0
                  and on (instance, vllmd_engine) vllmd_engine_wanted == 1
                """,
                f"{ENGINE} waits for {SIZE} more on GPU {{{{ $labels.gpu }}}}",
                "It is down until there is room. Most is held by {{ $labels.holder }}: 'vllmd gpu' "
                "shows all, and vllmd never kills it. 'vllmd start' starts it all the same.",
                wait="2m",
            ),
            Alert(
                "VllmdVramRestartWontFit",
                AlertSeverity.WARNING,
                "-1 * vllmd_gpu_memory_restart_margin_bytes > 0",
                f"{ENGINE} serves, but would not start again on GPU {{{{ $labels.gpu }}}}: "
                f"{SIZE} too few",
                "Do not restart it before there is room: 'vllmd gpu' shows who has the memory.",
                wait="10m",
            ),
            Alert(
                "VllmdVramLeak",
                AlertSeverity.WARNING,
                # a step is a trend while it is in the window, so it has to last longer than that
                f"""
                vllmd_engine_gpu_memory_growth_bytes > {settings.leak_bytes}
                  and deriv(vllmd_engine_gpu_memory_growth_bytes[1h]) > 0
                """,
                f"{ENGINE} grew by {SIZE} beyond its largest batch, and still grows",
                "vLLM takes its memory at the start and with its first full batches. Restart it "
                "in a quiet hour: 'vllmd restart' drains first.",
                wait="90m",
            ),
            Alert(
                "VllmdVramExhaustion",
                AlertSeverity.CRITICAL,
                # an engine that has just loaded is no trend: its memory went within the window
                f"""
                predict_linear(vllmd_gpu_memory_free_bytes[2h], 4 * 3600) < 268435456
                  and deriv(vllmd_gpu_memory_free_bytes[2h]) < 0
                  and on (instance, uuid) (
                    vllmd_gpu_memory_by_owner_bytes{{owner="engine"}} > 0
                      and on (instance, vllmd_engine)
                        vllmd_engine_gpu_memory_growth_bytes > {settings.leak_bytes // 4}
                      and on (instance, vllmd_engine) vllmd_engine_uptime_seconds > 3 * 3600
                  )
                """,
                f"{GPU} runs out of memory within four hours",
                "An engine on it grows, and ends with CUDA out of memory unless it is restarted "
                "before: 'vllmd gpu' shows which, 'vllmd restart' drains it first.",
                wait="30m",
            ),
        ],
    )
