"""What a probe of its answers (`vllmd/probe`) says of an engine, for those who look after it.

A probe is no request of anybody: while one is in flight, and in the look after it, steps and tokens
are not taken for work of clients.
"""

import contextlib
from collections.abc import Callable, Iterator

import attrs

from vllmd.engine import exits
from vllmd.engine.liveness.reading import Reading


@attrs.frozen
class Condemned:
    """A run that is to be ended for its answers."""

    run_id: str
    reason: str


@attrs.define(eq=False)
class Answers:
    """Of one engine; `changed` is told when it is to be kept for the next daemon."""

    changed: Callable[[], None] = lambda: None
    wrong: str | None = None
    """Why this run is to take no requests; None if it may."""
    condemned: Condemned | None = None
    withholds: bool = True
    """Whether a probe keeps requests away, and lets them come again."""
    in_flight: int = 0
    """Requests of probes that are in flight."""
    marks: int = 0
    """How often a probe began or ended: odd while one is in flight."""
    asked: int = 0
    """Requests to data parallel ranks that the next page may show: no probes, and of no client."""
    _seen: int = 0
    _most: int = 0
    """The most that were in flight since the last page: it may have been read before they ended."""

    def withhold(self, why: str | None) -> None:
        """Have requests kept from the run that there is, or let them come again.

        A probe in flight may find it wrong after its table was removed: that keeps nothing away.
        """
        why = why if self.withholds else None
        if why != self.wrong:
            self.wrong = why
            self.changed()

    def use(self, *, withholds: bool) -> None:
        """Say whether a probe keeps requests away: without one nobody would let them come again."""
        self.withholds = withholds
        if not withholds:
            self.withhold(None)
            self.condemned = None

    def take_up(self, wrong: str | None) -> None:
        """Go on with what an earlier daemon knew of the run."""
        self.wrong = wrong if self.withholds else None

    def end(self, run_id: str, reason: str) -> None:
        """Have a run ended, as one that is stalled is."""
        if not self.withholds:
            return
        self.condemned = Condemned(run_id, reason)

    def verdict(self, run_id: str) -> tuple[str, str] | None:
        """Return the label and the reason by which a run is to be ended; None if it is not."""
        condemned = self.condemned
        if condemned is None or condemned.run_id != run_id:
            return None
        return exits.WRONG_ANSWERS, condemned.reason

    def over(self) -> None:
        """Forget what was true of the run."""
        self.wrong = self.condemned = None
        self.asked = 0

    @contextlib.contextmanager
    def probing(self, requests: int) -> Iterator[None]:
        """Have a probe of so many requests at a time taken for what it is."""
        self.in_flight += requests
        self._most = max(self._most, self.in_flight)
        self.marks += 1
        try:
            yield
        finally:
            self.in_flight -= requests
            self.marks += 1

    def was_probed(self) -> bool:
        """Tell whether a probe was in flight at any time since the last call."""
        seen, self._seen = self._seen, self.marks
        return self.in_flight > 0 or seen != self.marks

    def requests(self, reading: Reading) -> tuple[int, int]:
        """Return the requests of clients that run and that wait, of all that a page shows."""
        own, self._most = self._most + self.asked, self.in_flight
        waiting = max(0, reading.waiting - max(0, own - reading.running))
        return max(0, reading.running - own), waiting
