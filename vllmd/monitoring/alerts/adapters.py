"""Is each adapter there that is wanted?"""

from vllmd.monitoring.expressions import comes_and_goes, last
from vllmd.monitoring.rules import ENGINE, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings

LIST = "vllmd lora list {{ $labels.vllmd_engine }}"


def group(_: RuleSettings) -> RuleGroup:
    """Return the alerts of LoRA adapters."""
    return RuleGroup(
        "vllmd-adapters",
        "Is each adapter there that is wanted?",
        [
            Alert(
                "VllmdAdapterNotLoaded",
                AlertSeverity.WARNING,
                # an engine that loads has no adapters yet: only one that serves is asked
                f"""
                ({last("vllmd_lora_adapter_loaded")} == 0
                    or {comes_and_goes("vllmd_lora_adapter_loaded", times=3)})
                  and on (instance, vllmd_engine) {last("vllmd_engine_up")} == 1
                """,
                f"{ENGINE} serves without its adapter {{{{ $labels.adapter }}}}",
                "Requests for {{ $labels.adapter }} get a 404. The list says why it is not loaded.",
                LIST,
                wait="5m",
            ),
            Alert(
                "VllmdAdapterStale",
                AlertSeverity.WARNING,
                f"""
                {last("vllmd_lora_adapter_stale")} == 1
                  and on (instance, vllmd_engine) {last("vllmd_engine_up")} == 1
                """,
                f"{ENGINE} serves an older {{{{ $labels.adapter }}}} than its files are",
                "Its files changed after it was loaded, and vllmd has not loaded them anew.",
                LIST,
                wait="15m",
            ),
        ],
    )
