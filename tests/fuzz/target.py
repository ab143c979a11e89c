"""What can be fuzzed: known input, and what is done with an input."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs


@attrs.frozen
class Target:
    """One reader of what others wrote.

    `run` reads one input: it returns, or raises for what is a mistake of ours. Refusals that the
    reader documents are no mistakes. `corpus` returns whole input, `scraps` are put into it.
    """

    name: str
    run: Callable[[bytes], Any]
    corpus: Callable[[], Sequence[bytes]]
    scraps: tuple[bytes, ...] = ()
    cpu_s: float = 2.0
    """Seconds of CPU time that one input may take."""
    memory_mb: int = 512
    """Address space that one input may take, above what the process has without it."""
