"""Faults of costs."""

from tests.timelines.signals import Alike, Fault, counter, gauge

CHAT = {"vllmd_engine": "chat"}
SPENT = {**CHAT, "currency": "USD", "source": "gpu", "activity": "busy"}
TOKENS = {**CHAT, "direction": "generation"}
BUDGET = gauge("vllmd_cost_budget_per_million_tokens", 3, 3, currency="USD")

FAULTS = (
    Fault(
        "VllmdCostAboveBudget",
        "half as many tokens for the same money",
        [
            BUDGET,
            counter("vllmd_cost_total", 0.02, 0.02, **SPENT),
            counter("vllmd_tokens_total", 10000, 5000, **TOKENS),
        ],
        Alike(
            "a night in which nobody asks",
            [
                BUDGET,
                counter("vllmd_cost_total", 0.02, 0.02, **SPENT),
                counter("vllmd_tokens_total", 0, 0, **TOKENS),
            ],
        ),
        before=1500,
        lasts=1800,
        after=1800,
        step=2,
    ),
)
