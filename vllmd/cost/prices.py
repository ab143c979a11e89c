"""What usage costs, in decimals as people write prices. Pure."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from vllmd.config.cost import ApiPrice, CostConfig, exact
from vllmd.cost.usage import HOUR_NS, Usage

MILLION = 1_000_000
KWH_MJ = 3_600_000_000
"""Millijoules in a kilowatt hour."""


@attrs.frozen
class Amount:
    """Money, by what it is paid for."""

    gpu: Decimal = Decimal(0)
    energy: Decimal = Decimal(0)

    @property
    def all(self) -> Decimal:
        """All of it."""
        return self.gpu + self.energy


@attrs.frozen
class Prices:
    """What an hour of a GPU and a kilowatt hour cost here."""

    gpu_hour: Decimal
    kwh: Decimal
    overhead: Decimal
    currency: str

    @classmethod
    def of(cls, cost: CostConfig) -> "Prices":
        """Take them from the configuration."""
        return cls(
            exact(cost.gpu_hour or 0), exact(cost.kwh or 0), exact(cost.overhead), cost.currency
        )

    @property
    def known(self) -> bool:
        """Whether anything has a price."""
        return bool(self.gpu_hour or self.kwh)

    def amount(self, usage: Usage) -> Amount:
        """Return what some usage costs."""
        return Amount(
            gpu=usage.gpu_ns * self.gpu_hour / HOUR_NS,
            energy=usage.energy_mj * self.kwh * self.overhead / KWH_MJ,
        )

    def hourly(self, gpus: Mapping[str, int], watts: Mapping[str, float]) -> Amount:
        """Return what an hour costs now: GPUs by how many engines share each, and their power."""
        shares = sum((Decimal(1) / shared for shared in gpus.values()), start=Decimal(0))
        power = sum(
            (exact(watts.get(gpu, 0)) / shared for gpu, shared in gpus.items()), start=Decimal(0)
        )
        return Amount(shares * self.gpu_hour, power / 1000 * self.kwh * self.overhead)


def per_million(amount: Decimal, tokens: int) -> Decimal | None:
    """Return what a million tokens cost; None if there were none."""
    return amount * MILLION / tokens if tokens else None


def api_amount(usage: Usage, price: ApiPrice) -> Decimal:
    """Return what an API would ask for the same tokens."""
    cached = usage.cached_tokens if price.cached_input is not None else 0
    fresh = usage.prompt_tokens - cached
    asked = fresh * price.input + usage.generation_tokens * price.output
    asked += cached * (price.cached_input or 0)
    return asked / MILLION


def break_even(hourly: Decimal, usage: Usage, price: ApiPrice) -> Decimal | None:
    """Return the tokens an hour, in the same mix, at which an API would cost as much.

    Returns: None if no tokens were seen, or the API is free.
    """
    asked = api_amount(usage, price)
    return hourly * usage.tokens / asked if asked else None
