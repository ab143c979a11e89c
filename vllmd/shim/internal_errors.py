"""What goes wrong in the shim itself: told in `shim.err`, counted, and survived.

A shim that ends by its own mistake takes its engine with it. So nothing here may raise either.
"""

import contextlib
import os
import time
from collections.abc import Iterator

TOLD = 20
"""Errors that are written down whole; of more, one in `ONE_IN`: a full disk is no help."""
ONE_IN = 1000
FRAMES = 20
SHOWN_CHARACTERS = 500
PAUSE_S = 0.05
"""A loop that fails at once again and again must not take a CPU."""


def complain(text: str) -> None:
    """Write lines to `shim.err`, if the disk takes them.

    Past `sys.stderr`: what stays in its buffer makes a failure of the end of the process.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"vllmd shim: {text}\n".encode(errors="backslashreplace"))


class InternalErrors:
    """How many there were. What is done `within` goes on after any of them."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def within(self, doing: str, *, pause_s: float = 0.0) -> Iterator[None]:
        """Go on after whatever is raised; `pause_s` seconds later, if a loop could raise it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - isolates the engine from the shim
            self.note(doing, error)
            time.sleep(pause_s)

    def note(self, doing: str, error: Exception) -> None:
        """Count an error, and write down where it was."""
        self.count += 1
        if self.count > TOLD and self.count % ONE_IN:
            return
        where = []
        frame = error.__traceback__
        while frame is not None:  # by hand: the module `traceback` takes 1 MB
            code = frame.tb_frame.f_code
            where.append(f"\n    {code.co_filename}:{frame.tb_lineno} {code.co_name}")
            frame = frame.tb_next
        what = f"{type(error).__name__}: {str(error)[:SHOWN_CHARACTERS]}"
        complain(f"internal error {self.count} while {doing}: {what}{''.join(where[-FRAMES:])}")
