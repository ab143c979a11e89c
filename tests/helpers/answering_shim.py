"""A shim's socket, answered by its real server in a thread, for those who ask it."""

import contextlib
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.server import ShimServer


class AnsweringShim:
    """Answers `status` with what a test puts there, and notes what it was asked."""

    def __init__(self, path: Path, **status: Any) -> None:
        self.status = {"run_id": "r", "log_settled": True, **status}
        self.asked: list[dict[str, Any]] = []
        self._poll = select.poll()
        self.server = ShimServer(str(path), self._poll, self._answer, InternalErrors())
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "status":
            self.asked.append(request)
            return {"ok": True}
        return dict(self.status)

    def _run(self) -> None:
        while not self._over:
            for fd, events in self._poll.poll(5):
                self.asked.append({"op": "woken"})
                self.server.handle(fd, events)
            self.server.tell_changes()

    def close(self) -> None:
        """End as a shim does that was killed: nothing is said."""
        self._over = True
        self._thread.join()
        self.server.close({}, 0.1)


@contextlib.contextmanager
def answering_shim(path: Path, **status: Any) -> Iterator[AnsweringShim]:
    """Answer on a socket until the end of the block."""
    path.parent.mkdir(exist_ok=True)
    shim = AnsweringShim(path, **status)
    try:
        yield shim
    finally:
        if not shim._over:
            shim.close()
