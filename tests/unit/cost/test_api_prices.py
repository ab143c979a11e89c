from decimal import Decimal

import pytest

from vllmd.config.cost import ApiPrice
from vllmd.cost.api_prices import KNOWN, find
from vllmd.errors import VllmdError

OWN = {"gpt-4o-mini": ApiPrice(Decimal(1), Decimal(2))}


def test_find_prefers_the_configurations_own_price() -> None:
    assert dict(find(["gpt-4o", "gpt-4o-mini"], OWN)) == {
        "gpt-4o": KNOWN["gpt-4o"],
        "gpt-4o-mini": OWN["gpt-4o-mini"],
    }


def test_find_of_an_unknown_model_says_so_and_what_is_known() -> None:
    with pytest.raises(VllmdError, match=r"'gpt-9' is not known: give it in \[cost.api\].*gpt-4o"):
        list(find(["gpt-9"], {}))


def test_known_prices_make_sense() -> None:
    for name, price in KNOWN.items():
        assert 0 < price.input < price.output, name
        assert price.cached_input is not None
        assert price.cached_input < price.input, name
