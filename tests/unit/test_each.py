import pytest

from tests.helpers.each import of_each


def test_each_thing_that_breaks_the_rule_is_named() -> None:
    @of_each([1, 2, 3], lambda number: f"number {number}")
    def odd(number: int) -> None:
        assert number % 2, "it is even"

    with pytest.raises(AssertionError, match="number 2: it is even"):
        odd()


def test_a_mistake_of_the_rule_itself_says_at_which_thing() -> None:
    @of_each(["a"])
    def broken(_name: str) -> None:
        raise KeyError

    with pytest.raises(KeyError) as caught:
        broken()
    assert caught.value.__notes__ == ["a"]


def test_a_rule_over_nothing_fails() -> None:
    with pytest.raises(AssertionError):
        of_each([])(print)()
