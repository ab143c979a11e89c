"""What usage costs, in decimals as people write prices. Pure."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from vllmd.config.cost import ApiPrice, CostConfig, exact
from vllmd.cost.meter import GpuUse
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

    def hourly(self, engine: str, gpus: Mapping[str, GpuUse], idle_mw: Mapping[str, int]) -> Amount:
        """Return what an hour of an engine costs now: its part of GPUs, and of their power.

        `idle_mw` is what each GPU takes without work, in mW.
        """
        hours = sum(use.time_of(engine, HOUR_NS) for use in gpus.values() if use.timed)
        power_mw = sum(
            use.power_of(engine, min(idle_mw.get(uuid, 0), use.power_mw))
            for uuid, use in gpus.items()
        )
        return self.amount(Usage(gpu_ns=hours, energy_mj=power_mw * 3600))


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
