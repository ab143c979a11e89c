"""A scripted hour and a half, against a calculation by hand."""

import pytest

from tests.helpers.make import config
from vllmd.cost.api_prices import find
from vllmd.cost.prices import Prices
from vllmd.cost.report import report
from vllmd.cost.usage import NOBODY, SECOND_NS, Activity, HourUsage, Usage

HOUR = 1_000_000 * 3600
PRICES = Prices.of(config("[cost]\ngpu_hour = 2.50\nkwh = 0.30\n").cost)


def seconds(count: int, **more: int) -> Usage:
    """Return time on two GPUs."""
    return Usage(duration_ns=count * SECOND_NS, gpu_ns=2 * count * SECOND_NS, **more)


SLOTS = {
    # two GPUs: half an hour of work at 1,200 W, a quarter idle at 160 W, a quarter down
    HourUsage(HOUR, "chat", Activity.BUSY): seconds(
        1800,
        energy_mj=2_160_000_000,
        prompt_tokens=3_000_000,
        cached_tokens=1_000_000,
        generation_tokens=1_000_000,
        requests=2000,
    ),
    HourUsage(HOUR, "chat", Activity.IDLE): seconds(900, energy_mj=144_000_000),
    HourUsage(HOUR, "chat", Activity.DOWN): seconds(900),
    HourUsage(HOUR + 3600, "chat", Activity.UNWATCHED): seconds(600, prompt_tokens=1_000_000),
    HourUsage(HOUR - 3600, "chat", Activity.BUSY): seconds(3600),
    HourUsage(HOUR, "code", Activity.DOWN): seconds(60),
    HourUsage(HOUR, NOBODY, Activity.IDLE): Usage(gpu_ns=1800 * SECOND_NS, energy_mj=360_000_000),
}


def test_report_equals_a_calculation_by_hand() -> None:
    apis = dict(find(["gpt-4o-mini"], {}))
    made = report(SLOTS, PRICES, HOUR + 60.0, HOUR + 5400.0, apis)
    chat, code = made["engines"]
    assert (chat["engine"], code["engine"]) == ("chat", "code")
    assert (made["since"], chat["accounted_s"], chat["unaccounted_s"]) == (HOUR, 4200.0, 1200.0)
    # 2 GPUs x 4200 s x 2.50/h = 5.8333; 0.64 kWh x 0.30 = 0.192
    assert chat["cost"]["gpu"] == pytest.approx(2 * 4200 / 3600 * 2.50, rel=1e-12)
    assert chat["cost"]["energy"] == pytest.approx(0.64 * 0.30, rel=1e-12)
    assert chat["cost"]["all"] == pytest.approx(6.025333333333, rel=1e-12)
    assert chat["cost_per_hour"] == pytest.approx(6.025333333333 / (4200 / 3600), rel=1e-12)
    assert chat["cost_per_million_tokens"] == pytest.approx(6.025333333333 / 5, rel=1e-12)
    # 2 GPUs x 2400 s, and 0.6 kWh, while it worked
    assert chat["cost_per_million_tokens_without_idle"] == pytest.approx(
        (2 * 2400 / 3600 * 2.50 + 0.6 * 0.30) / 5, rel=1e-12
    )
    assert chat["activities"]["idle"]["cost"]["all"] == pytest.approx(1.25 + 0.04 * 0.30, rel=1e-12)
    assert chat["joules_per_token"] == pytest.approx(2_304_000 / 5_000_000)
    assert chat["tokens_per_hour"] == pytest.approx(5_000_000 / (4200 / 3600))
    (mini,) = chat["compare"]
    # 3 M fresh x 0.15 + 1 M cached x 0.075 + 1 M out x 0.60
    assert mini["would_have_cost"] == pytest.approx(1.125, rel=1e-12)
    assert mini["break_even_tokens_per_hour"] == pytest.approx(
        chat["cost_per_hour"] / (1.125 / 5_000_000)
    )


def test_report_says_what_no_engine_used() -> None:
    made = report(SLOTS, PRICES, HOUR, HOUR + 3600.0, {})["unattributed"]
    assert made["nobody"]["gpu_hours"] == 0.5
    assert made["nobody"]["cost"]["all"] == pytest.approx(1.25 + 0.1 * 0.30, rel=1e-12)
    assert made["others"] == {
        "gpu_hours": 0.0,
        "energy_kwh": 0.0,
        "cost": {"gpu": 0.0, "energy": 0.0, "all": 0.0},
    }


def test_report_of_an_engine_without_tokens_knows_no_price_of_one() -> None:
    (code,) = report(
        {HourUsage(HOUR, "code", Activity.DOWN): seconds(60)}, PRICES, HOUR, HOUR + 60, {}
    )["engines"]
    assert code["cost_per_million_tokens"] is None
    assert code["joules_per_token"] is None


def test_report_of_nothing_is_empty() -> None:
    assert report({}, PRICES, HOUR, HOUR + 60, {})["engines"] == []
