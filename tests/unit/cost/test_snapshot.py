from decimal import Decimal

from vllmd.cost.prices import Amount, Prices
from vllmd.cost.snapshot import CostFigures
from vllmd.cost.usage import NOBODY, Activity, Usage


def test_figures_hold_what_the_page_needs() -> None:
    prices = Prices(Decimal(2), Decimal(0), Decimal(1), "USD")
    figures = CostFigures(
        prices, None, {"chat": Amount()}, {("chat", Activity.IDLE): Usage(1)}, {NOBODY: Usage(2)}
    )
    assert figures.used["chat", Activity.IDLE].duration_ns == 1
    assert figures.unattributed[NOBODY].duration_ns == 2
