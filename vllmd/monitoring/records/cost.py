"""What a million tokens cost, and what energy one takes, by engine."""

from vllmd.monitoring.rules import BY_ENGINE, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

BY_CURRENCY = "sum by (instance, vllmd_engine, currency)"


def group(_: RuleSettings) -> RuleGroup:
    """Return the recorded series of costs."""
    return RuleGroup(
        "vllmd-cost",
        "What a million tokens cost, and what energy one takes, by engine. Windows are in names.",
        [
            *(
                RecordingRule(
                    f"vllmd:tokens:increase{window}",
                    f"{BY_ENGINE} (increase(vllmd_tokens_total[{window}]))",
                )
                for window in ("1h", "1d")
            ),
            *(
                RecordingRule(
                    f"vllmd:cost_per_million_tokens:{window}",
                    f"""
                    1e6 * {BY_CURRENCY} (increase(vllmd_cost_total[{window}]))
                      / on (instance, vllmd_engine) group_left ()
                        (vllmd:tokens:increase{window} > 0)
                    """,
                )
                for window in ("1h", "1d")
            ),
            RecordingRule(
                "vllmd:cost_per_million_tokens_without_idle:1d",
                f"""
                1e6 * {BY_CURRENCY}
                    (increase(vllmd_cost_total{{activity=~"busy|unwatched"}}[1d]))
                  / on (instance, vllmd_engine) group_left () (vllmd:tokens:increase1d > 0)
                """,
            ),
            RecordingRule(
                "vllmd:joules_per_token:1h",
                f"""
                {BY_ENGINE} (increase(vllmd_engine_energy_joules_total[1h]))
                  / (vllmd:tokens:increase1h > 0)
                """,
            ),
        ],
        interval="1m",
    )
