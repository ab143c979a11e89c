"""The first error in an output: what came after it is mostly its echo."""

import re
from collections.abc import Iterable

from vllmd.engine.causes.base import bare

_EXCEPTION = re.compile(r"^([A-Za-z_]\w*\.)*[A-Z]\w*(Error|Exception|Interrupt|Failure)\b")


def first_error(lines: Iterable[str]) -> str | None:
    """Return the first line that names an exception, or else the first that is an error."""
    error = None
    for line in lines:
        text = bare(line)
        if _EXCEPTION.match(text):
            return text
        if error is None and (" ERROR " in line or text.startswith(("ERROR", "error:"))):
            error = text
    return error
