"""Is each adapter there that is wanted?"""

from vllmd.monitoring.rules import ENGINE, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings


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
                """
                vllmd_lora_adapter_loaded == 0
                  and on (instance, vllmd_engine) vllmd_engine_up == 1
                """,
                f"{ENGINE} serves without its adapter {{{{ $labels.adapter }}}}",
                "Requests for {{ $labels.adapter }} get a 404. 'vllmd lora list' says why it is "
                "not loaded.",
                wait="5m",
            )
        ],
    )
