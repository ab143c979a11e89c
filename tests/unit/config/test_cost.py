from decimal import Decimal

import pytest

from tests.helpers.make import config
from vllmd.config.cost import ApiPrice, exact
from vllmd.config.problem import InvalidConfigError


def test_prices_are_kept_as_they_were_written() -> None:
    given = config(
        '[cost]\ngpu_hour = 2.50\nkwh = 0.1\ncurrency = "eur"\n'
        '[cost.api]\n"gpt-4.1" = { input = 2, output = 0.1, cached_input = 0.3 }\n'
    ).cost
    assert (given.gpu_hour, given.currency, exact(0.1)) == (2.5, "EUR", Decimal("0.1"))
    assert given.api == {"gpt-4.1": ApiPrice(Decimal(2), Decimal("0.1"), Decimal("0.3"))}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu_hour = -1", "a number from 0"),
        ('gpu_hour = "2.50"', "a number from 0"),
        ("overhead = 0.5", "a number from 1 to 10"),
        ('currency = "dollars"', "a code of three letters"),
        ("budget_million_tokens = 0", "above 0"),
        ('api = "gpt"', "a table of prices"),
        ("api = { x = { input = 1 } }", "x lacks one"),
        ("api = { x = { input = 1, output = 2, ouput = 3 } }", "x has ouput"),
        ("api = { x = { input = 1, output = -2 } }", "prices of 0 or more"),
    ],
)
def test_prices_that_cannot_be_are_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        config(f"[cost]\n{text}\n")
    assert words in caught.value.problems[0].format("x")
