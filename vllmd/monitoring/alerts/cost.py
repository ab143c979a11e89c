"""Does serving cost what it may?"""

from vllmd.monitoring.expressions import last, still
from vllmd.monitoring.rules import ENGINE, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings


def group(_: RuleSettings) -> RuleGroup:
    """Return the alerts of costs."""
    return RuleGroup(
        "vllmd-cost-alerts",
        "Does serving cost what it may?",
        [
            Alert(
                "VllmdCostAboveBudget",
                AlertSeverity.WARNING,
                # over a day: an hour without requests is no reason to wake anybody
                f"""
                vllmd:cost_per_million_tokens:1d
                  > on (instance, currency) group_left ()
                    {last("vllmd_cost_budget_per_million_tokens")}
                  {still("vllmd_cost_total")}
                """,
                f'{ENGINE}: a million tokens cost {{{{ printf "%.2f" $value }}}} '
                "{{ $labels.currency }} in the last day",
                "That is above [cost] budget_million_tokens. The report says how much of it is "
                "idle time.",
                "vllmd cost",
                wait="1h",
            )
        ],
    )
