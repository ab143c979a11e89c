"""One test of many things of a kind: it names each that breaks the rule.

A test for each of thousands costs more in pytest than in the rule. This is for rules over a table;
cases that somebody thought of one by one are `pytest.mark.parametrize`.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def of_each(
    items: Iterable[T], label: Callable[[T], str] = str
) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of a rule, which fails with the label of each item that breaks it."""
    every = list(items)

    def made(rule: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert every
            broken = []
            for item in every:
                try:
                    rule(item)
                except AssertionError as error:
                    broken.append(f"{label(item)}: {error}")
                except Exception as error:
                    error.add_note(label(item))
                    raise
            assert not broken, "\n".join(broken)

        test.__name__ = test.__qualname__ = rule.__name__
        test.__doc__, test.__module__ = rule.__doc__, rule.__module__
        return test

    return made
