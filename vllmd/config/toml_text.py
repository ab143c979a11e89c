"""The text of a configuration as TOML: what no key could take is refused, and its line named.

Source: TOML 1.0, "Integer": 64 bits, and an error beyond. Python's tomllib takes any, and such a
number cannot even be written again.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from vllmd.config import lines
from vllmd.config.problem import ConfigProblem, InvalidConfigError
from vllmd.shim.files import is_deeper

MAX_DEPTH = 32
"""The deepest of vLLM's JSON flags have a handful of levels."""
LARGEST = 2**63
_LONG_NUMBER = re.compile(r"[0-9A-Fa-f_]{17}")


def read(source: str, path: str | None) -> dict[str, Any]:
    """Return the table of a text; `path` is only for what is said about it.

    Raises: InvalidConfigError: it is none.
    """
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        line = lines.parse_error_line(error)
        problem = ConfigProblem(f"is not TOML: {error}", "fix this line", line=line)
        raise InvalidConfigError(path, [problem]) from None
    except RecursionError:
        raise _too_deep(source, path) from None
    except ValueError:  # of a whole number with thousands of digits
        raise _too_large(source, path) from None


def refuse_extremes(table: Mapping[str, Any], source: str, path: str | None) -> None:
    """Refuse a table that is nested too deep, or has whole numbers beyond 64 bits.

    Raises: InvalidConfigError.
    """
    if is_deeper(table, MAX_DEPTH):
        raise _too_deep(source, path)
    if has_larger(table):
        raise _too_large(source, path)


def has_larger(value: Any) -> bool:
    """Tell whether a value, or one in it, is a whole number beyond 64 bits."""
    if isinstance(value, Mapping):
        return any(map(has_larger, value.values()))
    if isinstance(value, list):
        return any(map(has_larger, value))
    return isinstance(value, int) and not -LARGEST <= value < LARGEST


def _too_deep(source: str, path: str | None) -> InvalidConfigError:
    """Say which line has so many brackets, or dots, if one alone has."""
    deep = (
        number
        for number, line in enumerate(source.splitlines(), 1)
        if max(line.count("[") + line.count("{"), line.partition("=")[0].count(".")) >= MAX_DEPTH
    )
    what = f"has tables or lists nested deeper than {MAX_DEPTH}"
    problem = ConfigProblem(what, "remove some of the nesting", line=next(deep, None))
    return InvalidConfigError(path, [problem])


def _too_large(source: str, path: str | None) -> InvalidConfigError:
    """Say which line has such a number, if one alone has so many digits."""
    found = [n for n, line in enumerate(source.splitlines(), 1) if _LONG_NUMBER.search(line)]
    what = "has a whole number beyond 64 bits, the most that TOML has"
    line = found[0] if len(found) == 1 else None
    return InvalidConfigError(path, [ConfigProblem(what, "write a smaller one", line=line)])
