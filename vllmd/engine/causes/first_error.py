"""The root of what an output shows: what came after it is mostly its echo."""

from collections.abc import Sequence

from vllmd.engine.causes.base import bare
from vllmd.engine.log_reading.reading import read_output


def first_error(lines: Sequence[str]) -> str | None:
    """Return the exception that the last run of an output ended by, or else its first error."""
    root = read_output(lines).root
    return bare(root.quote) if root else None
