"""What the page shows of costs."""

from collections.abc import Mapping

import attrs

from vllmd.cost.prices import Amount, Prices
from vllmd.cost.usage import Activity, Usage


@attrs.frozen
class CostFigures:
    """Rates, and sums since the daemon began."""

    prices: Prices
    budget: float | None
    """What a million tokens may cost; None if that is not configured."""
    hourly: Mapping[str, Amount]
    """What an hour costs at this moment, by engine."""
    used: Mapping[tuple[str, Activity], Usage]
    """By engine and activity."""
    unattributed: Mapping[str, Usage]
    """What of the GPUs nobody used, or processes that are not of an engine."""
