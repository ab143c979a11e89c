"""What a million tokens cost, and what energy one takes, by engine."""

from vllmd.monitoring.rules import BY_ENGINE, Group, Record
from vllmd.monitoring.settings import Settings

BY_CURRENCY = "sum by (instance, vllmd_engine, currency)"


def group(_: Settings) -> Group:
    """Return the recorded series of costs."""
    return Group(
        "vllmd-cost",
        "What a million tokens cost, and what energy one takes, by engine. Windows are in names.",
        [
            *(
                Record(
                    f"vllmd:tokens:increase{window}",
                    f"{BY_ENGINE} (increase(vllmd_tokens_total[{window}]))",
                )
                for window in ("1h", "1d")
            ),
            *(
                Record(
                    f"vllmd:cost_per_million_tokens:{window}",
                    f"""
                    1e6 * {BY_CURRENCY} (increase(vllmd_cost_total[{window}]))
                      / on (instance, vllmd_engine) group_left ()
                        (vllmd:tokens:increase{window} > 0)
                    """,
                )
                for window in ("1h", "1d")
            ),
            Record(
                "vllmd:cost_per_million_tokens_without_idle:1d",
                f"""
                1e6 * {BY_CURRENCY}
                    (increase(vllmd_cost_total{{activity=~"busy|unwatched"}}[1d]))
                  / on (instance, vllmd_engine) group_left () (vllmd:tokens:increase1d > 0)
                """,
            ),
            Record(
                "vllmd:joules_per_token:1h",
                f"""
                {BY_ENGINE} (increase(vllmd_engine_energy_joules_total[1h]))
                  / (vllmd:tokens:increase1h > 0)
                """,
            ),
        ],
        interval="1m",
    )
