"""`[cost]`: what GPUs and electricity cost here, and what an API asks for tokens."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config import rules
from vllmd.config.rules import RuleError, key

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_PRICE = rules.number(0)
_EXPECTS = 'a table of prices by model, such as { "my-api" = { input = 0.15, output = 0.60 } }'


@attrs.frozen
class ApiPrice:
    """What an API asks for a million tokens."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    """For prompt tokens that it has in its cache; None if it asks the same for them."""


def exact(number: float) -> Decimal:
    """Return a number as it was written: 0.1 is a tenth."""
    return Decimal(str(number))


def _apis(value: Any) -> Mapping[str, ApiPrice]:
    if not isinstance(value, dict):
        raise RuleError(_EXPECTS)
    return MappingProxyType({name: _api(name, prices) for name, prices in value.items()})


def _api(name: str, prices: Any) -> ApiPrice:
    if not isinstance(prices, dict) or not {"input", "output"} <= prices.keys():
        raise RuleError(f"input and output for each model, per million tokens; {name} lacks one")
    if unknown := prices.keys() - {"input", "output", "cached_input"}:
        raise RuleError(f"input, output and cached_input; {name} has {', '.join(sorted(unknown))}")
    try:
        return ApiPrice(**{each: exact(_PRICE(price)) for each, price in prices.items()})
    except RuleError:
        raise RuleError(f"prices of 0 or more per million tokens; {name} has {prices}") from None


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not value.isalpha() or len(value) != 3:
        raise RuleError('a code of three letters, such as "USD"')
    return value.upper()


@attrs.frozen
class CostConfig:
    """What is paid. Give the price of a GPU, that of electricity, or both."""

    gpu_hour: float | None = key(
        rules.number(0),
        None,
        help="What an hour of one GPU costs, used or not: its rent, or its price over its life.",
        example="2.50",
    )
    kwh: float | None = key(
        rules.number(0),
        None,
        help="What a kilowatt hour costs; the GPUs' energy is measured.",
        example="0.30",
    )
    overhead: float = key(
        rules.number(1, 10),
        1.0,
        help="Factor for the energy of the host and of cooling (PUE), on top of the GPUs'.",
        reason="Only what is measured is counted, unless you know more.",
    )
    currency: str = key(
        _currency, "USD", help="Currency of all prices here; API prices known to vllmd are in USD."
    )
    budget_million_tokens: float | None = key(
        rules.number(0, above=True),
        None,
        help="Highest cost of a million tokens, idle time included; an alert fires above it.",
        example="1.50",
    )
    api: Mapping[str, ApiPrice] = key(
        _apis,
        _EMPTY,
        help="Prices of APIs per million tokens, for 'vllmd cost --compare'; they override those "
        "that vllmd knows.",
        example='{ "my-api" = { input = 0.15, output = 0.60, cached_input = 0.075 } }',
    )
    keep_days: int = key(
        rules.integer(1, 3650),
        400,
        help="Days that hourly usage is kept.",
        reason="A year and a month: this month beside the same one last year; some 6 MB an engine.",
    )
