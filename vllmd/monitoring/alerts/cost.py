"""Does serving cost what it may?"""

from vllmd.monitoring.rules import ENGINE, Alert, Group, Severity
from vllmd.monitoring.settings import Settings


def group(_: Settings) -> Group:
    """Return the alerts of costs."""
    return Group(
        "vllmd-cost-alerts",
        "Does serving cost what it may?",
        [
            Alert(
                "VllmdCostAboveBudget",
                Severity.WARNING,
                # over a day: an hour without requests is no reason to wake anybody
                """
                vllmd:cost_per_million_tokens:1d
                  > on (instance, currency) group_left () vllmd_cost_budget_per_million_tokens
                """,
                f'{ENGINE}: a million tokens cost {{{{ printf "%.2f" $value }}}} '
                "{{ $labels.currency }} in the last day",
                "That is above [cost] budget_million_tokens. 'vllmd cost' says how much of it is "
                "idle time.",
                wait="1h",
            )
        ],
    )
