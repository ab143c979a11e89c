"""What answers cost: prices per million tokens, and a sum that is never made up."""

import re
import threading
from collections.abc import Mapping
from decimal import Decimal

import attrs

from vllmd.client.interface import Reply, TokenUsage
from vllmd.config.cost import ApiPrice
from vllmd.cost.api_prices import KNOWN

SELF_HOSTED = frozenset({"vllm"})
"""Providers whose tokens have no price: what their GPUs cost, `vllmd cost` says."""

MILLION = 1_000_000
_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


@attrs.define
class ModelCost:
    """What one model was asked for; `amount` is None if its price is not known."""

    provider: str
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    amount: Decimal | None = Decimal(0)


class CostTracker:
    """Adds up replies, by model; may be used by several threads."""

    def __init__(self, prices: Mapping[str, ApiPrice] | None = None) -> None:
        """Make a tracker; `prices` by model go before those that vllmd knows."""
        self._prices = {**KNOWN, **(prices or {})}
        self._models: dict[str, ModelCost] = {}
        self._lock = threading.Lock()

    def price(self, provider: str, model: str) -> ApiPrice | None:
        """Return a model's price; None if it is not known. One with a date has that of its name."""
        if provider in SELF_HOSTED:
            return ApiPrice(Decimal(0), Decimal(0))
        return self._prices.get(model) or self._prices.get(_DATED.sub("", model))

    def amount(self, provider: str, model: str, usage: TokenUsage) -> Decimal | None:
        """Return what one answer costs; None if the model's price is not known."""
        price = self.price(provider, model)
        if price is None:
            return None
        cached = usage.cached_input_tokens if price.cached_input is not None else 0
        asked = (usage.input_tokens - cached) * price.input + usage.output_tokens * price.output
        return (asked + cached * (price.cached_input or 0)) / MILLION

    def add(self, reply: Reply) -> Decimal | None:
        """Take an answer; returns what it cost, None if that is not known."""
        amount = self.amount(reply.provider, reply.model, reply.usage)
        with self._lock:
            cost = self._models.setdefault(reply.model, ModelCost(reply.provider))
            cost.answers += 1
            cost.input_tokens += reply.usage.input_tokens
            cost.output_tokens += reply.usage.output_tokens
            cost.cached_input_tokens += reply.usage.cached_input_tokens
            known = amount is not None and cost.amount is not None
            cost.amount = cost.amount + amount if known else None  # type: ignore[operator]
        return amount

    @property
    def total(self) -> Decimal:
        """What all answers of a known price cost, in USD."""
        with self._lock:
            amounts = [cost.amount for cost in self._models.values()]
        return sum((amount for amount in amounts if amount is not None), start=Decimal(0))

    @property
    def unknown(self) -> frozenset[str]:
        """The models that were asked and whose price is not known: `total` lacks them."""
        with self._lock:
            return frozenset(name for name, cost in self._models.items() if cost.amount is None)

    def by_model(self) -> dict[str, ModelCost]:
        """Return what each model was asked for."""
        with self._lock:
            return {name: attrs.evolve(cost) for name, cost in self._models.items()}

    def summary(self) -> str:
        """Say it in one line a model."""
        lines = []
        for name, cost in sorted(self.by_model().items()):
            if cost.amount is None:
                price = "price not known"
            elif cost.provider in SELF_HOSTED:
                price = "self-hosted"
            else:
                price = f"{cost.amount:.6f} USD"
            tokens = f"{cost.input_tokens:,} tokens in, {cost.output_tokens:,} out"
            lines.append(f"{name}: {cost.answers:,} answers, {tokens}, {price}")
        return "\n".join(lines)
