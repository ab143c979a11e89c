"""What well-known APIs ask for a million tokens, in USD; `[cost] api` goes before these. Pure.

Source: the price lists of the providers, for their standard service, in October 2025. They change:
check them before you decide anything by them.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from vllmd.config.cost import ApiPrice
from vllmd.errors import VllmdError


def _price(given: str, output: str, cached: str | None = None) -> ApiPrice:
    return ApiPrice(Decimal(given), Decimal(output), Decimal(cached) if cached else None)


KNOWN: Mapping[str, ApiPrice] = MappingProxyType(
    {
        "gpt-4o": _price("2.50", "10.00", "1.25"),
        "gpt-4o-mini": _price("0.15", "0.60", "0.075"),
        "gpt-4.1": _price("2.00", "8.00", "0.50"),
        "gpt-4.1-mini": _price("0.40", "1.60", "0.10"),
        "gpt-4.1-nano": _price("0.10", "0.40", "0.025"),
        "gpt-5": _price("1.25", "10.00", "0.125"),
        "gpt-5-mini": _price("0.25", "2.00", "0.025"),
        "gpt-5-nano": _price("0.05", "0.40", "0.005"),
        "claude-opus-4-1": _price("15.00", "75.00", "1.50"),
        "claude-sonnet-4-5": _price("3.00", "15.00", "0.30"),
        "claude-haiku-4-5": _price("1.00", "5.00", "0.10"),
    }
)


def find(names: Sequence[str], own: Mapping[str, ApiPrice]) -> Iterator[tuple[str, ApiPrice]]:
    """Yield the price of each API: the configuration's own, or a known one.

    Raises: VllmdError: neither has one.
    """
    for name in names:
        price = own.get(name) or KNOWN.get(name)
        if price is None:
            known = ", ".join(sorted({*own, *KNOWN}))
            raise VllmdError(
                f"the price of {name!r} is not known: give it in [cost.api], or compare with: "
                f"{known}"
            )
        yield name, price
