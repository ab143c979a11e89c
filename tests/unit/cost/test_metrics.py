from decimal import Decimal

import attrs

from tests.helpers.metrics import values
from vllmd.cost.metrics import CostCollector
from vllmd.cost.prices import Amount, Prices
from vllmd.cost.snapshot import CostFigures
from vllmd.cost.usage import HOUR_NS, OTHERS, Activity, Usage

USED = {("chat", Activity.BUSY): Usage(HOUR_NS, 2 * HOUR_NS, 3_600_000_000)}
ASLEEP = {("chat", Activity.IDLE): Usage(HOUR_NS, asleep_ns=HOUR_NS, freed_gpu_ns=HOUR_NS // 2)}


def figures(gpu_hour: str, kwh: str, budget: float | None = None) -> CostFigures:
    prices = Prices(Decimal(gpu_hour), Decimal(kwh), Decimal(1), "EUR")
    hourly = {"chat": Amount(Decimal("5.00"), Decimal("0.30"))}
    return CostFigures(prices, budget, hourly, USED, {OTHERS: Usage(0, HOUR_NS, 5000)})


def test_collect_tells_what_an_engine_that_sleeps_gave_back() -> None:
    used = attrs.evolve(figures("2.5", "0.3"), used={**USED, **ASLEEP})
    found = values(CostCollector(lambda: used).collect())
    assert found["vllmd_engine_asleep_seconds_total", "chat"] == 3600
    assert found["vllmd_gpu_freed_seconds_total", "chat"] == 1800


def test_collect_tells_usage_and_money() -> None:
    found = values(CostCollector(lambda: figures("2.5", "0.3", 1.5)).collect())
    assert found == {
        ("vllmd_engine_asleep_seconds_total", "chat"): 0,
        ("vllmd_gpu_freed_seconds_total", "chat"): 0,
        ("vllmd_engine_activity_seconds_total", "busy", "chat"): 3600,
        ("vllmd_gpu_seconds_total", "busy", "chat"): 7200,
        ("vllmd_engine_energy_joules_total", "busy", "chat"): 3_600_000,
        ("vllmd_gpu_unattributed_seconds_total", "others"): 3600,
        ("vllmd_gpu_unattributed_energy_joules_total", "others"): 5,
        ("vllmd_cost_per_hour", "EUR", "gpu", "chat"): 5,
        ("vllmd_cost_per_hour", "EUR", "energy", "chat"): 0.3,
        ("vllmd_cost_total", "busy", "EUR", "gpu", "chat"): 5,
        ("vllmd_cost_total", "busy", "EUR", "energy", "chat"): 0.3,
        ("vllmd_cost_budget_per_million_tokens", "EUR"): 1.5,
    }


def test_collect_without_prices_tells_no_money() -> None:
    names = {key[0] for key in values(CostCollector(lambda: figures("0", "0")).collect())}
    assert not any(name.startswith("vllmd_cost") for name in names)
    one = {
        key for key in values(CostCollector(lambda: figures("2", "0")).collect()) if "EUR" in key
    }
    assert {"gpu" in key for key in one} == {True}
