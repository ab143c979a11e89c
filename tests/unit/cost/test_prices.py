from decimal import Decimal

from tests.helpers.make import config
from vllmd.config.cost import ApiPrice
from vllmd.cost.meter import GpuUse
from vllmd.cost.prices import Prices, api_amount, break_even, per_million
from vllmd.cost.usage import HOUR_NS, Usage

MINI = ApiPrice(Decimal("0.15"), Decimal("0.60"), Decimal("0.075"))


def prices(text: str) -> Prices:
    return Prices.of(config(f"[cost]\n{text}\n").cost)


def test_amount_is_exact() -> None:
    both = prices("gpu_hour = 2.50\nkwh = 0.30\noverhead = 1.2")
    usage = Usage(gpu_ns=3 * HOUR_NS // 2, energy_mj=3_600_000_000)
    amount = both.amount(usage)
    assert (amount.gpu, amount.energy) == (Decimal("3.75"), Decimal("0.36"))
    assert amount.all == Decimal("4.11")
    assert sum((both.amount(usage).all for _ in range(10)), Decimal(0)) == Decimal("41.1")


def test_known_says_whether_anything_has_a_price() -> None:
    assert not prices("").known
    assert prices("kwh = 0.3").known


def test_hourly_counts_shares_and_power() -> None:
    both = prices("gpu_hour = 2\nkwh = 0.5\noverhead = 2")
    gpus = {
        "a": GpuUse({"chat": 1}, power_mw=700_000),
        "b": GpuUse({"chat": 1, "code": 3}, {"code": 3}, power_mw=500_000),
        "c": GpuUse({"chat": 1}, power_mw=0, timed=False),
    }
    amount = both.hourly("chat", gpus, {"a": 100_000, "b": 400_000})
    assert amount.gpu == Decimal("2.5")
    assert amount.energy == Decimal("0.8")
    assert both.hourly("none", gpus, {}).all == 0


def test_per_million_of_no_tokens_is_not_known() -> None:
    assert per_million(Decimal(3), 1_500_000) == Decimal(2)
    assert per_million(Decimal(3), 0) is None


def test_api_amount_counts_what_is_cached_at_its_own_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, generation_tokens=500_000)
    assert api_amount(usage, MINI) == Decimal("0.09") + Decimal("0.03") + Decimal("0.30")
    assert api_amount(usage, ApiPrice(Decimal("0.15"), Decimal("0.60"))) == Decimal("0.45")


def test_break_even_is_where_both_cost_the_same() -> None:
    usage = Usage(prompt_tokens=900_000, generation_tokens=100_000)
    tokens = break_even(Decimal("2.50"), usage, MINI)
    assert tokens is not None
    assert tokens * api_amount(usage, MINI) / usage.tokens == Decimal("2.50")
    assert break_even(Decimal(1), Usage(), MINI) is None
    assert break_even(Decimal(1), usage, ApiPrice(Decimal(0), Decimal(0))) is None
