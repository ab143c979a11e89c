"""Files of variables as compose reads them: ``.env``, and those of `env_file`. Pure.

Source: the Compose documentation, "Syntax for environment variable files": a value without quotes
ends at `` #``, one in double quotes has escapes, and in both a variable is put in.
"""

import re
from collections.abc import Mapping

from vllmd.importing.containers.interpolation import Interpolation
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s*(.*)")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "$": "$$"}


def dotenv(text: str, source: str, before: Mapping[str, str], notes: Notes) -> dict[str, str]:
    """Return the variables of a file; one that stands in a value is put in, also of `before`."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        given = _LINE.fullmatch(line.strip())
        if not given:
            continue
        quoted = _QUOTED.match(given[2])
        if quoted and quoted[2] is not None:
            found[given[1]] = quoted[2]
            continue
        plain = re.sub(r"(^|\s+)#.*", "", given[2])
        value = re.sub(r"\\(.)", _unescaped, quoted[1]) if quoted else plain
        filled = Interpolation({**before, **found}, source, notes)
        found[given[1]] = filled.text(value, Place(source, number))
    return found


def raw_variables(text: str) -> dict[str, str]:
    """Return the variables of a file whose values are taken as they are."""
    lines = (line.partition("=") for line in text.splitlines() if line.strip()[:1] not in ("#", ""))
    return {name.strip(): value for name, equals, value in lines if equals}


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])
